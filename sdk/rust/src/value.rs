//! Values, kept encoded.

use crate::codec::{self, DecodeError, Reader};
use crate::Error;
use std::borrow::Cow;
use std::fmt;

/// The type of a [`Value`], in the order in which values sort (RFC-MYTHOS-0001,
/// section 2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Null,
    Bool,
    Uint,
    Int,
    Bytes,
    Text,
    List,
    Map,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 8] = ["NULL", "BOOL", "UVARINT", "IVARINT", "BYTES", "TEXT", "LIST", "MAP"];
        f.write_str(NAMES[*self as usize])
    }
}

/// One MYTHOS-CAN value (RFC-MYTHOS-0001, section 2), kept encoded: passing one
/// on changes no byte of it, and reading one costs what is read.
///
/// Methods that read a value of another kind, or a member that is missing, return
/// an error that is answered with status 400 and the code `bad_request`, so that
/// a tool can hand it up with `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value<'a>(Cow<'a, [u8]>);

impl<'a> Value<'a> {
    pub(crate) fn borrowed(raw: &'a [u8]) -> Value<'a> {
        Value(Cow::Borrowed(raw))
    }

    fn owned(raw: Vec<u8>) -> Value<'static> {
        Value(Cow::Owned(raw))
    }

    pub fn null() -> Value<'static> {
        Value::owned(vec![codec::NULL])
    }

    pub fn bool(b: bool) -> Value<'static> {
        Value::owned(vec![if b { codec::TRUE } else { codec::FALSE }])
    }

    /// An unsigned integer, a UVARINT.
    pub fn uint(n: u64) -> Value<'static> {
        let mut raw = vec![codec::UINT];
        codec::put_uvarint(&mut raw, n);
        Value::owned(raw)
    }

    /// A signed integer, an IVARINT. 5 as a UVARINT and 5 as an IVARINT are
    /// different values.
    pub fn int(n: i64) -> Value<'static> {
        let mut raw = vec![codec::INT];
        codec::put_uvarint(&mut raw, ((n << 1) ^ (n >> 63)) as u64);
        Value::owned(raw)
    }

    pub fn bytes(b: &[u8]) -> Value<'static> {
        let mut raw = Vec::with_capacity(b.len() + 6);
        codec::put_sized(&mut raw, codec::BYTES, b);
        Value::owned(raw)
    }

    pub fn text(s: &str) -> Value<'static> {
        let mut raw = Vec::with_capacity(s.len() + 6);
        codec::put_sized(&mut raw, codec::TEXT, s.as_bytes());
        Value::owned(raw)
    }

    pub fn list<'i>(items: impl IntoIterator<Item = Value<'i>>) -> Value<'static> {
        let (mut body, mut n) = (Vec::new(), 0);
        for v in items {
            body.extend_from_slice(v.raw());
            n += 1;
        }
        Value::container(codec::LIST, n, &body)
    }

    /// A MAP; pairs come in any order. If a key occurs twice the value cannot be
    /// answered.
    pub fn map<'i>(pairs: impl IntoIterator<Item = (Value<'i>, Value<'i>)>) -> Value<'static> {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        pairs.sort_by(|a, b| a.0.raw().cmp(b.0.raw()));
        let mut body = Vec::new();
        for (k, v) in &pairs {
            body.extend_from_slice(k.raw());
            body.extend_from_slice(v.raw());
        }
        Value::container(codec::MAP, pairs.len() as u64, &body)
    }

    /// A MAP with TEXT keys.
    pub fn object<'i>(members: impl IntoIterator<Item = (&'i str, Value<'i>)>) -> Value<'static> {
        Value::map(members.into_iter().map(|(name, v)| (Value::text(name), v)))
    }

    fn container(tag: u8, n: u64, body: &[u8]) -> Value<'static> {
        let mut raw = Vec::with_capacity(body.len() + 6);
        raw.push(tag);
        codec::put_uvarint(&mut raw, n);
        raw.extend_from_slice(body);
        Value::owned(raw)
    }

    /// The value that `raw` encodes, or why it is not exactly one canonical value.
    pub fn parse(raw: &'a [u8]) -> Result<Value<'a>, DecodeError> {
        codec::check(raw)?;
        Ok(Value::borrowed(raw))
    }

    /// The encoding.
    pub fn raw(&self) -> &[u8] {
        &self.0
    }

    /// A value that borrows nothing.
    pub fn into_owned(self) -> Value<'static> {
        Value::owned(self.0.into_owned())
    }

    pub fn kind(&self) -> Kind {
        match self.0[0] {
            codec::NULL => Kind::Null,
            codec::FALSE | codec::TRUE => Kind::Bool,
            codec::UINT => Kind::Uint,
            codec::INT => Kind::Int,
            codec::BYTES => Kind::Bytes,
            codec::TEXT => Kind::Text,
            codec::LIST => Kind::List,
            _ => Kind::Map,
        }
    }

    fn want(&self, kind: Kind) -> Result<(), Error> {
        if self.kind() == kind {
            return Ok(());
        }
        Err(Error::bad_request(format!("got {}, want {}", self.kind(), kind)))
    }

    /// The varint behind the tag and where it ends.
    fn number(&self) -> (u64, usize) {
        let (n, size) = codec::uvarint(&self.0[1..]).unwrap_or((0, 0));
        (n, 1 + size)
    }

    pub fn as_bool(&self) -> Result<bool, Error> {
        self.want(Kind::Bool)?;
        Ok(self.0[0] == codec::TRUE)
    }

    pub fn as_uint(&self) -> Result<u64, Error> {
        self.want(Kind::Uint)?;
        Ok(self.number().0)
    }

    pub fn as_int(&self) -> Result<i64, Error> {
        self.want(Kind::Int)?;
        let n = self.number().0;
        Ok((n >> 1) as i64 ^ -((n & 1) as i64))
    }

    pub fn as_bytes(&self) -> Result<&[u8], Error> {
        self.want(Kind::Bytes)?;
        Ok(&self.0[self.number().1..])
    }

    pub fn as_text(&self) -> Result<&str, Error> {
        self.want(Kind::Text)?;
        Ok(std::str::from_utf8(&self.0[self.number().1..])?)
    }

    /// The number of items of a LIST or pairs of a MAP, 0 for others.
    pub fn len(&self) -> u64 {
        match self.kind() {
            Kind::List | Kind::Map => self.number().0,
            _ => 0,
        }
    }

    /// Whether there is no item and no pair.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The items of a LIST, in order.
    pub fn items(&self) -> Result<Items<'_>, Error> {
        self.want(Kind::List)?;
        let (left, at) = self.number();
        Ok(Items { left, rest: &self.0[at..] })
    }

    /// The keys and values of a MAP, in canonical order.
    pub fn pairs(&self) -> Result<Pairs<'_>, Error> {
        self.want(Kind::Map)?;
        let (left, at) = self.number();
        Ok(Pairs(Items { left: 2 * left, rest: &self.0[at..] }))
    }

    /// The value of the TEXT key `name` of a MAP.
    pub fn get(&self, name: &str) -> Result<Value<'_>, Error> {
        self.want(Kind::Map)?;
        self.lookup(name).ok_or_else(|| Error::bad_request(format!("member {name} is missing")))
    }

    /// The value of the TEXT key `name`, if this is a MAP that has it: for members
    /// that are optional.
    pub fn lookup(&self, name: &str) -> Option<Value<'_>> {
        let key = Value::text(name);
        let mut pairs = self.pairs().ok()?;
        pairs.find(|(k, _)| k.raw() == key.raw()).map(|(_, v)| v)
    }

    /// Whether this may be answered to a call with that payload, which was checked
    /// already.
    pub(crate) fn encodable(&self, payload: &Value<'_>) -> Result<(), DecodeError> {
        let (raw, was) = (self.raw(), payload.raw());
        if raw.as_ptr() == was.as_ptr() && raw.len() == was.len() {
            return Ok(());
        }
        codec::check(raw)
    }
}

/// See [`Value::items`].
pub struct Items<'a> {
    left: u64,
    rest: &'a [u8],
}

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let mut r = Reader::new(self.rest);
        r.skip();
        let (v, rest) = self.rest.split_at(r.off);
        self.rest = rest;
        Some(Value::borrowed(v))
    }
}

/// See [`Value::pairs`].
pub struct Pairs<'a>(Items<'a>);

impl<'a> Iterator for Pairs<'a> {
    type Item = (Value<'a>, Value<'a>);

    fn next(&mut self) -> Option<(Value<'a>, Value<'a>)> {
        Some((self.0.next()?, self.0.next()?))
    }
}
