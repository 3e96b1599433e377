// echo answers its request's payload: wasm32-unknown-unknown, no WASI, one
// export, run.
mod mythos;

#[no_mangle]
pub extern "C" fn run() {
    let q = mythos::request();
    mythos::answer(mythos::payload(&q));
}
