//! The guest SDK for Rust: it makes a program whose `main` calls [`serve`] into
//! a MYTHOS tool (RFC-MYTHOS-0006, section 10). The same source builds as a wasm
//! module of the hostcall abi (section 11.1; target `wasm32-wasip1`, entry
//! `_start`) and as a native executable that speaks frames on stdin and stdout
//! (section 12).
//!
//! A tool is one function from a [`Call`], whose payload is a decoded [`Value`],
//! to a `Value`:
//!
//! ```no_run
//! use mythos::{fail, serve, Value};
//!
//! serve(|call| match call.payload().as_text()? {
//!     "" => Err(fail(404, "nobody", "there is nobody to greet")),
//!     name => Ok(Value::text(&format!("Hello, {name}!"))),
//! });
//! ```
//!
//! Failures are made by [`fail`]. Any other error, a panic where panics unwind,
//! and a value that is not canonical are answered with status 500 and the code
//! `tool_error`; their text goes to the log alone. There are no dependencies.

mod codec;
mod host;
mod message;
mod value;

pub use codec::DecodeError;
pub use host::*;
pub use value::{Items, Kind, Pairs, Value};

use std::fmt;
use std::panic::{catch_unwind, AssertUnwindSafe};

/// One request.
pub struct Call {
    request: Vec<u8>,
    payload: (usize, usize),
    tool_id: [u8; 32],
    idem_id: [u8; 32],
}

impl Call {
    /// The request's payload, checked.
    pub fn payload(&self) -> Value<'_> {
        Value::borrowed(&self.request[self.payload.0..self.payload.1])
    }

    /// The id of the tool, a SHA-256 digest.
    pub fn tool_id(&self) -> &[u8; 32] {
        &self.tool_id
    }

    /// The effect's idempotency id, a SHA-256 digest, which a tool that dedupes
    /// end to end passes on.
    pub fn idem_id(&self) -> &[u8; 32] {
        &self.idem_id
    }
}

/// Why a tool has no answer. [`fail`] makes one that the caller is told; every
/// `std::error::Error` becomes one that is told as `tool_error` alone.
#[derive(Debug)]
pub struct Error {
    status: u16,
    code: String,
    message: String,
    detail: String, // for the log
}

/// Returns a failure that the caller of the tool is told. `status` must be 100 to
/// 599 and not 200, `code` 1 to 128 bytes; else the answer is `tool_error`. An
/// empty message is left out.
pub fn fail(status: u16, code: &str, message: &str) -> Error {
    Error { status, code: code.into(), message: message.into(), detail: String::new() }
}

impl Error {
    fn tool(detail: String) -> Error {
        Error { detail, ..fail(500, "tool_error", "") }
    }

    fn bad_request(detail: String) -> Error {
        Error { detail, ..fail(400, "bad_request", "") }
    }

    fn is_valid(&self) -> bool {
        (100..=599).contains(&self.status) && self.status != 200 && (1..=128).contains(&self.code.len())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.code)?;
        for text in [&self.message, &self.detail] {
            if !text.is_empty() {
                write!(f, ": {text}")?;
            }
        }
        Ok(())
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(e: E) -> Error {
        Error::tool(e.to_string())
    }
}

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// Runs `tool` on one encoded ToolRequest and returns the ToolResponse.
fn answer<F>(tool: &F, request: Vec<u8>) -> Vec<u8>
where
    F: Fn(&Call) -> Result<Value<'_>, Error>,
{
    let call = match message::decode_request(request) {
        Ok(call) => call,
        Err(e) => return refuse(Error::bad_request(e.to_string())),
    };
    let result = catch_unwind(AssertUnwindSafe(|| tool(&call)));
    match result.unwrap_or_else(|p| Err(Error::tool(panic_text(&*p)))) {
        Ok(v) => match v.encodable(&call.payload()) {
            Ok(()) => message::encode_response(200, v.raw(), None),
            Err(e) => refuse(Error::tool(format!("the result cannot be encoded: {e}"))),
        },
        Err(e) => refuse(e),
    }
}

fn panic_text(p: &(dyn std::any::Any + Send)) -> String {
    let text = p.downcast_ref::<&str>().copied();
    let text = text.or_else(|| p.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("not a text"))
}

/// Returns the response for an error. What the caller is not told is logged.
fn refuse(e: Error) -> Vec<u8> {
    if !e.is_valid() {
        log(Level::Error, &format!("tool_error: not a failure that may be answered: {e:?}"));
        return message::encode_response(500, &[0], Some(("tool_error", "")));
    }
    if !e.detail.is_empty() {
        log(Level::Error, &format!("{}: {}", e.code, e.detail));
    }
    message::encode_response(e.status, &[0], Some((&e.code, &e.message)))
}

#[cfg(test)]
mod tests;
