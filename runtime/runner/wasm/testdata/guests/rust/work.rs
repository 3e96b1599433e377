// work counts the words of its request's payload, sorts and formats: hash maps
// with random seeds, strings, floats. wasm32-wasi, entry _start.
mod mythos;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

/// words turns bytes into text of many short words.
fn words(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut x: u64 = 0x9e3779b97f4a7c15;
    for i in 0..600 {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        let b = bytes[i % bytes.len()] as u64;
        write!(text, "w{:x} ", (x.wrapping_add(b)) % 97).unwrap();
    }
    text
}

fn main() {
    let q = mythos::request();
    let payload = mythos::payload(&q);
    let text = words(payload);

    let mut counts: HashMap<&str, u32> = HashMap::new();
    for w in text.split_whitespace() {
        *counts.entry(w).or_insert(0) += 1;
    }
    let mut sorted: Vec<(&str, u32)> = counts.iter().map(|(w, n)| (*w, *n)).collect();
    // The order of a hash map is its seed's; it stays visible in this number.
    let order = sorted.iter().enumerate().fold(0u32, |h, (i, (_, n))| h.wrapping_mul(31).wrapping_add(n * i as u32));
    sorted.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));

    let mut lengths: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (w, n) in &sorted {
        lengths.entry(w.len()).or_default().push(format!("{}={}", w.to_uppercase(), n));
    }
    let mean = sorted.iter().map(|(_, n)| f64::from(*n)).sum::<f64>() / sorted.len() as f64;
    let spread = (sorted.iter().map(|(_, n)| (f64::from(*n) - mean).powi(2)).sum::<f64>() / sorted.len() as f64).sqrt();
    let report = format!("{:08x} {:.6} {:e} {:?}", order, mean, spread, lengths);
    eprintln!("{} words", sorted.len());

    let mut out = vec![6]; // TEXT
    mythos::put_varint(&mut out, report.len());
    out.extend_from_slice(report.as_bytes());
    mythos::answer(&out);
}
