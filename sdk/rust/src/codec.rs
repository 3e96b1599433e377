//! Canonical bytes (RFC-MYTHOS-0001, section 2).

use std::fmt;

pub const NULL: u8 = 0;
pub const FALSE: u8 = 1;
pub const TRUE: u8 = 2;
pub const UINT: u8 = 3;
pub const INT: u8 = 4;
pub const BYTES: u8 = 5;
pub const TEXT: u8 = 6;
pub const LIST: u8 = 7;
pub const MAP: u8 = 8;

const MAX_DEPTH: usize = 32; // containers open at once

/// A code of RFC-MYTHOS-0001, section 2.3, and the byte that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    pub code: &'static str,
    pub offset: usize,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.code, self.offset)
    }
}

impl std::error::Error for DecodeError {}

pub type Checked<T> = Result<T, DecodeError>;

pub fn err<T>(code: &'static str, offset: usize) -> Checked<T> {
    Err(DecodeError { code, offset })
}

/// Why there is no varint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Varint {
    Cut,
    Wide,
    Long,
}

/// Decodes the varint at the start of `b` and returns it with its length.
pub fn uvarint(b: &[u8]) -> Result<(u64, usize), Varint> {
    let mut n = 0;
    for (i, &c) in b.iter().enumerate() {
        if i == 9 && c > 1 {
            return Err(Varint::Wide);
        }
        if i > 0 && c == 0 {
            return Err(Varint::Long);
        }
        n |= u64::from(c & 0x7f) << (7 * i);
        if c < 0x80 {
            return Ok((n, i + 1));
        }
    }
    Err(Varint::Cut)
}

pub fn put_uvarint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

pub fn put_sized(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    put_uvarint(out, content.len() as u64);
    out.extend_from_slice(content);
}

/// A cursor over one encoded message.
pub struct Reader<'a> {
    pub b: &'a [u8],
    pub off: usize,
}

impl<'a> Reader<'a> {
    pub fn new(b: &'a [u8]) -> Reader<'a> {
        Reader { b, off: 0 }
    }

    pub fn done(&self) -> Checked<()> {
        if self.off < self.b.len() {
            return err("can_trailing", self.off);
        }
        Ok(())
    }

    /// Reads one value of any kind inside `depth` open containers.
    pub fn value(&mut self, depth: usize) -> Checked<()> {
        let at = self.off;
        let tag = match self.b.get(at) {
            None => return err("can_truncated", at),
            Some(&tag) if tag > MAP => return err("can_tag", at),
            Some(&tag) => tag,
        };
        self.off += 1;
        match tag {
            UINT | INT => self.varint(at).map(drop),
            BYTES => self.content(at).map(drop),
            TEXT => self.utf8(at).map(drop),
            LIST => {
                for _ in 0..self.count(at, depth, 1)? {
                    self.value(depth + 1)?;
                }
                Ok(())
            }
            MAP => {
                let n = self.count(at, depth, 2)?;
                self.pairs(n, depth + 1)
            }
            _ => Ok(()),
        }
    }

    /// Reads `n` pairs of a MAP, whose keys ascend.
    fn pairs(&mut self, n: u64, depth: usize) -> Checked<()> {
        let mut last: Option<&[u8]> = None;
        for _ in 0..n {
            let at = self.off;
            self.value(depth)?;
            let key = &self.b[at..self.off];
            match last {
                Some(k) if k > key => return err("can_key_order", at),
                Some(k) if k == key => return err("can_key_duplicate", at),
                _ => last = Some(key),
            }
            self.value(depth)?;
        }
        Ok(())
    }

    /// Reads a varint of the item whose tag is at byte `at`.
    pub fn varint(&mut self, at: usize) -> Checked<u64> {
        match uvarint(&self.b[self.off..]) {
            Ok((n, size)) => {
                self.off += size;
                Ok(n)
            }
            Err(Varint::Cut) => err("can_truncated", at),
            Err(Varint::Wide) => err("can_overflow", at),
            Err(Varint::Long) => err("can_varint", at),
        }
    }

    /// Reads the length and the bytes of the item at byte `at`.
    pub fn content(&mut self, at: usize) -> Checked<&'a [u8]> {
        let n = self.varint(at)?;
        if n > (self.b.len() - self.off) as u64 {
            return err("can_bounds", at);
        }
        let start = self.off;
        self.off += n as usize;
        Ok(&self.b[start..self.off])
    }

    /// Reads the length and the characters of the TEXT at byte `at`.
    pub fn utf8(&mut self, at: usize) -> Checked<&'a str> {
        let b = self.content(at)?;
        std::str::from_utf8(b).or_else(|_| err("can_utf8", at))
    }

    /// Reads the count of the container at byte `at`, whose items take at least
    /// `size` bytes each.
    fn count(&mut self, at: usize, depth: usize, size: usize) -> Checked<u64> {
        let n = self.varint(at)?;
        if n > ((self.b.len() - self.off) / size) as u64 {
            return err("can_bounds", at);
        }
        if depth >= MAX_DEPTH {
            return err("can_depth", at);
        }
        Ok(n)
    }

    /// Reads the tag of a value that must be of that kind, and returns where.
    pub fn tag(&mut self, want: u8) -> Checked<usize> {
        let at = self.off;
        match self.b.get(at) {
            None => err("can_truncated", at),
            Some(&tag) if tag > MAP => err("can_tag", at),
            Some(&tag) if tag != want => err("can_type", at),
            Some(_) => {
                self.off += 1;
                Ok(at)
            }
        }
    }

    /// Begins a struct whose required fields are 1 to `need`.
    pub fn structure(&mut self, depth: usize, need: u64, closed: bool) -> Checked<Struct> {
        let at = self.tag(MAP)?;
        let left = self.count(at, depth, 2)?;
        Ok(Struct { left, last: 0, met: 0, need, closed })
    }

    /// Steps over a value whose bytes were checked, or built here.
    pub fn skip(&mut self) {
        let mut left = 1;
        while left > 0 && self.off < self.b.len() {
            left -= 1;
            let tag = self.b[self.off];
            self.off += 1;
            if tag < UINT {
                continue;
            }
            let (n, size) = uvarint(&self.b[self.off..]).unwrap_or((0, 0));
            self.off += size;
            match tag {
                BYTES | TEXT => self.off += n as usize,
                LIST => left += n,
                MAP => left += 2 * n,
                _ => {}
            }
        }
    }
}

/// A struct that is being read (RFC-MYTHOS-0001, section 2.2).
pub struct Struct {
    left: u64,
    last: u64,
    met: u64,
    need: u64,
    closed: bool, // it may have no other fields
}

impl Struct {
    /// Returns the number of the next field, whose value the caller reads, or
    /// None at the end of the struct.
    pub fn next(&mut self, r: &mut Reader<'_>) -> Checked<Option<u64>> {
        let at = r.off;
        if self.left == 0 {
            if self.met < self.need {
                return err("can_missing", at);
            }
            return Ok(None);
        }
        match r.b.get(at) {
            None => return err("can_truncated", at),
            Some(&UINT) => r.off += 1,
            Some(_) => return err("can_field_number", at),
        }
        let no = r.varint(at)?;
        self.left -= 1;
        self.place(no, at).map(Some)
    }

    /// Checks that field `no` may follow the last one.
    fn place(&mut self, no: u64, at: usize) -> Checked<u64> {
        let needed = self.met < self.need && no == self.met + 1;
        if !(1..=127).contains(&no) {
            return err("can_field_number", at);
        }
        if no < self.last {
            return err("can_key_order", at);
        }
        if no == self.last {
            return err("can_key_duplicate", at);
        }
        if self.met < self.need && self.met + 1 < no {
            return err("can_missing", at);
        }
        if !needed && self.closed {
            return err("can_unknown_field", at);
        }
        self.met += u64::from(needed);
        self.last = no;
        Ok(no)
    }
}

/// Returns nothing if `raw` is exactly one canonical value.
pub fn check(raw: &[u8]) -> Checked<()> {
    let mut r = Reader::new(raw);
    r.value(0)?;
    r.done()
}
