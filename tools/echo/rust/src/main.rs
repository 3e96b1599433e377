//! The reference tool demo/echo in Rust: it answers its payload, whatever value
//! that is, and logs one line for each call. sdk/rust/README.md has the commands
//! that build it.

use mythos::{log, serve, Level};

fn main() {
    serve(|call| {
        log(Level::Info, &format!("echo {} bytes", call.payload().raw().len()));
        Ok(call.payload())
    });
}
