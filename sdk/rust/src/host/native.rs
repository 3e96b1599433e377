//! A process: frames on stdin and stdout (RFC-MYTHOS-0006, section 12).

use crate::codec::{put_uvarint, uvarint};
use crate::{answer, fail, Call, Error, Level, Value};
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Write};

const MAX_FRAME: u64 = 16 << 20; // the largest max_request_bytes

/// Answers the frames on stdin, one after the other, until the input ends. It is
/// all that a tool's `main` does. What the tool prints goes to stderr, because
/// stdout carries frames only.
pub fn serve<F>(tool: F)
where
    F: Fn(&Call) -> Result<Value<'_>, Error>,
{
    let input = BufReader::with_capacity(64 << 10, io::stdin());
    if let Err(e) = frames_out().and_then(|out| frames(&tool, input, out)) {
        log(Level::Error, &e.to_string());
        std::process::exit(1);
    }
}

/// Takes stdout for frames, and puts stderr in its place.
#[cfg(unix)]
fn frames_out() -> io::Result<File> {
    use std::os::unix::io::AsFd;
    extern "C" {
        fn dup2(from: i32, to: i32) -> i32;
    }
    let out = io::stdout().as_fd().try_clone_to_owned()?;
    match unsafe { dup2(2, 1) } {
        1 => Ok(out.into()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(not(unix))]
fn frames_out() -> io::Result<io::Stdout> {
    Ok(io::stdout())
}

pub(crate) fn frames<F>(tool: &F, mut input: impl Read, mut out: impl Write) -> io::Result<()>
where
    F: Fn(&Call) -> Result<Value<'_>, Error>,
{
    while let Some(request) = read_frame(&mut input, MAX_FRAME)? {
        let response = answer(tool, request);
        let mut frame = Vec::with_capacity(response.len() + 4);
        put_uvarint(&mut frame, response.len() as u64);
        frame.extend_from_slice(&response);
        out.write_all(&frame)?;
        out.flush()?;
    }
    Ok(())
}

/// Reads one frame of at most `limit` bytes, and nothing behind it; None at the
/// end of the input.
pub(crate) fn read_frame(input: &mut impl Read, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let bad = |text: &str| io::Error::new(ErrorKind::InvalidData, text);
    let cut = "abi_frame_truncated: the input ends inside a frame";
    let mut head = Vec::new();
    while head.last().map_or(true, |&c| c >= 0x80) && head.len() < 10 {
        let mut b = [0];
        match input.read_exact(&mut b) {
            Ok(()) => head.push(b[0]),
            Err(e) if e.kind() != ErrorKind::UnexpectedEof => return Err(e),
            Err(_) if head.is_empty() => return Ok(None),
            Err(_) => return Err(bad(cut)),
        }
    }
    let (n, _) = uvarint(&head).map_err(|_| bad("abi_frame_length: not a minimal varint"))?;
    if n > limit {
        return Err(bad("abi_frame_too_large"));
    }
    let mut body = vec![0; n as usize];
    match input.read_exact(&mut body) {
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Err(bad(cut)),
        Err(e) => Err(e),
        Ok(()) => Ok(Some(body)),
    }
}

/// Writes a line to the log, which a host bounds and labels.
pub fn log(level: Level, text: &str) {
    let label = ["DEBUG", "INFO", "WARN", "ERROR"][level as usize];
    let line = format!("{label} {}\n", text.strip_suffix('\n').unwrap_or(text));
    // A log that nobody reads is no reason to fail.
    let _ = io::stderr().write_all(line.as_bytes());
}

/// The time, microseconds since the Unix epoch. A wasm module needs the grant
/// Clock.
pub fn now_micros() -> Result<i64, Error> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Ok(since.map_or(0, |d| d.as_micros() as i64))
}

/// Fills `b` with secure random bytes. A wasm module needs the grant Random.
#[cfg(target_os = "linux")]
pub fn random(mut b: &mut [u8]) -> Result<(), Error> {
    extern "C" {
        fn getrandom(dst: *mut u8, len: usize, flags: u32) -> isize;
    }
    // A sandbox has no /dev/urandom.
    while !b.is_empty() {
        match unsafe { getrandom(b.as_mut_ptr(), b.len(), 0) } {
            n @ 1.. => b = &mut b[n as usize..],
            _ => {
                let e = io::Error::last_os_error();
                if e.kind() != ErrorKind::Interrupted {
                    return Err(e.into());
                }
            }
        }
    }
    Ok(())
}

/// Fills `b` with secure random bytes.
#[cfg(not(target_os = "linux"))]
pub fn random(b: &mut [u8]) -> Result<(), Error> {
    Ok(File::open("/dev/urandom")?.read_exact(b)?)
}

/// The value of the secret `name`, which a tool with the grant SecretRead finds
/// behind a descriptor.
#[cfg(unix)]
pub fn secret(name: &str) -> Result<Vec<u8>, Error> {
    use std::mem::ManuallyDrop;
    use std::os::unix::fs::FileExt;
    use std::os::unix::io::FromRawFd;
    let upper = name.to_ascii_uppercase();
    let variable: String = upper.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let fd = std::env::var(format!("MYTHOS_SECRET_{variable}_FD")).map_err(|_| fail(403, "denied", ""))?;
    // The descriptor is the process's, not this function's to close; and it is
    // read by offset, because a worker asks in every call.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd.parse()?) });
    let mut value = Vec::new();
    let mut b = [0; 4096];
    loop {
        let n = file.read_at(&mut b, value.len() as u64)?;
        value.extend_from_slice(&b[..n]);
        if n == 0 {
            return Ok(value);
        }
        if value.len() > 1 << 20 {
            return Err(Error::tool(format!("secret {name} is over 1 MiB")));
        }
    }
}

/// Connects to `address`, "host:port", through the proxy that the host serves for
/// a call with the grant NetConnect.
#[cfg(unix)]
pub fn dial(address: &str) -> Result<std::os::unix::net::UnixStream, Error> {
    let denied = || fail(403, "denied", "");
    let path = std::env::var_os("MYTHOS_NET").ok_or_else(denied)?;
    if address.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(Error::tool(format!("dial {address:?}: not an address")));
    }
    let mut conn = std::os::unix::net::UnixStream::connect(path)?;
    write!(conn, "CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n")?;
    // Byte by byte: what follows belongs to the tunnel.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 8192 {
        let mut b = [0];
        conn.read_exact(&mut b)?;
        head.push(b[0]);
    }
    match String::from_utf8_lossy(&head).split(' ').nth(1) {
        Some("200") => Ok(conn),
        Some("403") => Err(denied()),
        other => Err(Error::tool(format!("dial {address}: the proxy answers {other:?}"))),
    }
}
