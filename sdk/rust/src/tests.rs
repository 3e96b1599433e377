use crate::codec;
use crate::host::{frames, read_frame};
use crate::message::{decode_request, encode_response};
use crate::{answer, fail, now_micros, random, Call, Error, Kind, Value};

fn request(payload: &[u8]) -> Vec<u8> {
    let mut hash = vec![codec::MAP, 2, 3, 1, 3, 1, 3, 2];
    codec::put_sized(&mut hash, codec::BYTES, &[0; 32]);
    let mut out = vec![codec::MAP, 4, 3, 1];
    codec::put_sized(&mut out, codec::TEXT, b"mythos.tool.request");
    out.extend_from_slice(&[3, 2]);
    out.extend_from_slice(&hash);
    out.extend_from_slice(&[3, 3]);
    codec::put_sized(&mut out, codec::BYTES, payload);
    out.extend_from_slice(&[3, 4]);
    out.extend_from_slice(&hash);
    out
}

fn echo(call: &Call) -> Result<Value<'_>, Error> {
    Ok(call.payload())
}

fn failure(status: u16, code: &str, message: &str) -> Vec<u8> {
    encode_response(status, &[0], Some((code, message)))
}

fn answers(tool: impl Fn(&Call) -> Result<Value<'_>, Error>) -> Vec<u8> {
    answer(&tool, request(Value::text("hello").raw()))
}

#[test]
fn answers_and_failures() {
    let tool_error = failure(500, "tool_error", "");
    let bad = failure(400, "bad_request", "");
    assert_eq!(answers(echo), encode_response(200, b"\x06\x05hello", None));
    assert_eq!(answers(|_| Ok(Value::uint(7))), encode_response(200, &[3, 7], None));
    assert_eq!(answers(|_| Err(fail(404, "not_found", "no such key"))), failure(404, "not_found", "no such key"));
    assert_eq!(answers(|_| Err(fail(404, "not_found", ""))), failure(404, "not_found", ""));
    let longest = "x".repeat(128);
    assert_eq!(answers(|_| Err(fail(500, &longest, ""))), failure(500, &longest, ""));
    for (status, code) in
        [(200, "x".into()), (99, "x".into()), (600, "x".into()), (500, String::new()), (500, "x".repeat(129))]
    {
        assert_eq!(answers(|_| Err(fail(status, &code, ""))), tool_error, "{status} {code}");
    }
    assert_eq!(answers(|_| Err("x".parse::<u8>().unwrap_err().into())), tool_error);
    assert_eq!(answers(|_| panic!("no")), tool_error);
    assert_eq!(
        answers(|_| Ok(Value::map([(Value::uint(1), Value::null()), (Value::uint(1), Value::null())]))),
        tool_error
    );
    assert_eq!(answers(|_| Ok((0..33).fold(Value::null(), |v, _| Value::list([v])))), tool_error);
    assert_eq!(answers(|call| call.payload().as_uint().map(Value::uint)), bad);
    assert_eq!(answers(|call| Ok(call.payload().get("x")?.into_owned())), bad);
    for raw in [&b""[..], b"garbage", &request(&[]), &request(&[9])] {
        assert_eq!(answer(&echo, raw.to_vec()), bad);
    }
}

#[test]
fn randomness() {
    let (mut a, mut b) = ([0; 300], [0; 300]);
    random(&mut a).unwrap();
    random(&mut b).unwrap();
    assert_ne!(a, b);
    assert!(now_micros().unwrap() > 1_600_000_000_000_000);
}

#[test]
fn frames_until_the_end() {
    let frame = |b: &[u8]| {
        let mut out = Vec::new();
        codec::put_uvarint(&mut out, b.len() as u64);
        out.extend_from_slice(b);
        out
    };
    let payload = Value::bytes(&[7; 70000]);
    let q = frame(&request(payload.raw()));
    let want = frame(&encode_response(200, payload.raw(), None));
    let mut out = Vec::new();
    frames(&echo, &[&q[..], &q[..]].concat()[..], &mut out).unwrap();
    assert_eq!(out, [&want[..], &want[..]].concat());
    for bad in [&b"\x05ab"[..], b"\x81\x80\x80\x08", b"\x80\x80\x80\x80\x10", b"\x80\x00"] {
        let mut out = Vec::new();
        assert!(frames(&echo, bad, &mut out).is_err() && out.is_empty(), "{bad:?}");
    }
}

/// Reads a value through its methods and builds it again, pairs in reverse.
fn rebuild(v: &Value<'_>) -> Result<Value<'static>, Error> {
    Ok(match v.kind() {
        Kind::Null => Value::null(),
        Kind::Bool => Value::bool(v.as_bool()?),
        Kind::Uint => Value::uint(v.as_uint()?),
        Kind::Int => Value::int(v.as_int()?),
        Kind::Bytes => Value::bytes(v.as_bytes()?),
        Kind::Text => Value::text(v.as_text()?),
        Kind::List => {
            let items: Result<Vec<_>, _> = v.items()?.map(|x| rebuild(&x)).collect();
            Value::list(items?)
        }
        Kind::Map => {
            let pairs: Result<Vec<_>, Error> = v.pairs()?.map(|(k, x)| Ok((rebuild(&k)?, rebuild(&x)?))).collect();
            Value::map(pairs?.into_iter().rev())
        }
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.trim_start_matches('-').as_bytes();
    digits.chunks(2).map(|c| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 16).unwrap()).collect()
}

fn hex(b: &[u8]) -> String {
    b.iter().map(|c| format!("{c:02x}")).collect()
}

/// The conformance vectors that are about guests, as lines in the file that
/// MYTHOS_VECTORS names; `go run ./sdk/go/internal/vectors/print ctvp/vectors`
/// writes them.
#[test]
fn vectors() {
    let path = std::env::var("MYTHOS_VECTORS").expect("MYTHOS_VECTORS names no file; scripts/sdks.sh rust sets it");
    let lines = std::fs::read_to_string(path).unwrap();
    let mut ran = 0;
    for line in lines.lines() {
        let part: Vec<&str> = line.split(' ').collect();
        let problem = match part[0] {
            "value" => value_vector(&part[2..]),
            "request" => request_vector(&part[2..]),
            "response" => response_vector(&part[2..]),
            "frame" => frame_vector(&part[2..]),
            op => format!("no test for {op}"),
        };
        assert_eq!(problem, "", "{}", part[1]);
        ran += 1;
    }
    assert!(ran >= 260, "only {ran} vectors");
}

fn value_vector(part: &[&str]) -> String {
    let raw = unhex(part[0]);
    match Value::parse(&raw) {
        Ok(v) if part[1] == "ok" => match rebuild(&v) {
            Ok(again) if again == v => String::new(),
            other => format!("built again it is {other:?}"),
        },
        Err(e) if part[1] == e.code && part[2] == e.offset.to_string() => String::new(),
        other => format!("got {other:?}"),
    }
}

fn request_vector(part: &[&str]) -> String {
    match decode_request(unhex(part[0])) {
        Err(e) if part.len() == 2 && e.code == part[1] => String::new(),
        Ok(call) if part.len() == 4 => {
            let got = [hex(call.payload().raw()), hex(call.tool_id()), hex(call.idem_id())];
            let same = got.iter().zip(&part[1..]).all(|(got, want)| *want == "-" || got == want);
            if same {
                String::new()
            } else {
                format!("got {got:?}")
            }
        }
        Ok(_) => "no error".into(),
        Err(e) => e.to_string(),
    }
}

fn response_vector(part: &[&str]) -> String {
    let text = |s| String::from_utf8(unhex(s)).unwrap();
    let (code, message) = (text(part[3]), text(part[4]));
    let error = if code.is_empty() { None } else { Some((&code[..], &message[..])) };
    let got = hex(&encode_response(part[1].parse().unwrap(), &unhex(part[2]), error));
    if got == part[0] {
        String::new()
    } else {
        format!("got {got}")
    }
}

fn frame_vector(part: &[&str]) -> String {
    let raw = unhex(part[0]);
    let mut input = &raw[..];
    match read_frame(&mut input, part[1].parse().unwrap()) {
        Ok(None) if part[2] == "abi_frame_end" => String::new(),
        Ok(Some(b)) if part.len() == 4 && b == unhex(part[2]) && input.len().to_string() == part[3] => String::new(),
        Err(e) if part.len() == 3 && e.to_string().starts_with(part[2]) => String::new(),
        other => format!("got {other:?}"),
    }
}
