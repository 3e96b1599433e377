//! The hostcall abi (RFC-MYTHOS-0006, section 11.1). The linker imports only the
//! hostcalls that a tool reaches.

use crate::{answer, fail, Call, Error, Level, Value};

mod host {
    #[link(wasm_import_module = "mythos_v1")]
    extern "C" {
        pub fn request_len() -> u32;
        pub fn request_read(dst: *mut u8, off: u32, len: u32) -> i32;
        pub fn response_write(src: *const u8, len: u32) -> i32;
        pub fn log(level: u32, text: *const u8, len: u32);
        pub fn now_us() -> i64;
        pub fn random(dst: *mut u8, len: u32) -> i32;
        pub fn blob_get(cid: *const u8, off: i64, dst: *mut u8, len: u32) -> i32;
        pub fn http(request: *const u8, len: u32) -> i32;
        pub fn http_read(dst: *mut u8, off: u32, len: u32) -> i32;
    }
}

/// Answers the request of this call. It is all that a tool's `main` does.
pub fn serve<F>(tool: F)
where
    F: Fn(&Call) -> Result<Value<'_>, Error>,
{
    let n = unsafe { host::request_len() };
    let mut request = vec![0; n as usize];
    unsafe { host::request_read(request.as_mut_ptr(), 0, n) };
    let response = answer(&tool, request);
    if unsafe { host::response_write(response.as_ptr(), response.len() as u32) } < 0 {
        log(Level::Error, &format!("the response of {} bytes is over the limit", response.len()));
    }
}

/// Writes a line to the log, which a host bounds and labels.
pub fn log(level: Level, text: &str) {
    unsafe { host::log(level as u32, text.as_ptr(), text.len() as u32) }
}

/// The time, microseconds since the Unix epoch. It needs the grant Clock.
pub fn now_micros() -> Result<i64, Error> {
    let n = unsafe { host::now_us() };
    result("now_us", n.min(0) as i32)?;
    Ok(n)
}

/// Fills `b` with secure random bytes. It needs the grant Random.
pub fn random(b: &mut [u8]) -> Result<(), Error> {
    const MOST: usize = 1 << 16; // bytes of one hostcall
    for part in b.chunks_mut(MOST) {
        result("random", unsafe { host::random(part.as_mut_ptr(), part.len() as u32) })?;
    }
    Ok(())
}

/// Reads from the blob named by a SHA-256 digest, from byte `off`, and returns
/// how many bytes it read: at most 1 MiB at once, 0 at the end. It needs the grant
/// BlobRead.
pub fn read_blob(cid: &[u8; 32], off: u64, b: &mut [u8]) -> Result<usize, Error> {
    result("blob_get", unsafe { host::blob_get(cid.as_ptr(), off as i64, b.as_mut_ptr(), b.len() as u32) })
}

/// Performs an HTTPRequest and returns the HTTPResponse, structs of
/// RFC-MYTHOS-0006, section 11.4. It needs the grant NetConnect.
pub fn http(request: &Value<'_>) -> Result<Value<'static>, Error> {
    let raw = request.raw();
    let n = result("http", unsafe { host::http(raw.as_ptr(), raw.len() as u32) })?;
    let mut response = vec![0; n];
    result("http_read", unsafe { host::http_read(response.as_mut_ptr(), 0, n as u32) })?;
    Ok(Value::parse(&response)?.into_owned())
}

/// The number that a hostcall returned, or the error that it stands for.
fn result(name: &str, n: i32) -> Result<usize, Error> {
    match n {
        0.. => Ok(n as usize),
        -1 => Err(fail(403, "denied", "")),
        -4 => Err(fail(404, "not_found", "")),
        _ => Err(Error::tool(format!("{name} failed with {n}"))),
    }
}
