// The hostcall abi of RFC-MYTHOS-0006 section 11.1 for the Rust guests. A
// ToolRequest begins with fields of fixed size, so the payload's key is always
// at the same offset.

#[link(wasm_import_module = "mythos_v1")]
extern "C" {
    fn request_len() -> u32;
    fn request_read(dst: *mut u8, off: u32, len: u32) -> i32;
    fn response_write(src: *const u8, len: u32) -> i32;
}

const PAYLOAD_AT: usize = 6 + 19 + 2 + 42;
const HEAD: &[u8] = b"\x08\x03\x03\x01\x06\x14mythos.tool.response\x03\x02\x03\xc8\x01\x03\x03\x05";

pub fn request() -> Vec<u8> {
    unsafe {
        let n = request_len();
        let mut b = vec![0u8; n as usize];
        request_read(b.as_mut_ptr(), 0, n);
        b
    }
}

/// payload returns field 3 of a request, which must have it.
pub fn payload(q: &[u8]) -> &[u8] {
    assert!(q[PAYLOAD_AT..PAYLOAD_AT + 3] == [3, 3, 5]);
    let (mut at, mut shift, mut len) = (PAYLOAD_AT + 3, 0, 0usize);
    loop {
        let b = q[at] as usize;
        assert!(shift <= 28);
        len |= (b & 0x7f) << shift;
        at += 1;
        shift += 7;
        if b < 0x80 {
            break;
        }
    }
    &q[at..at + len]
}

pub fn put_varint(out: &mut Vec<u8>, mut v: usize) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

/// answer writes a response of status 200.
pub fn answer(payload: &[u8]) {
    let mut b = Vec::with_capacity(HEAD.len() + 5 + payload.len());
    b.extend_from_slice(HEAD);
    put_varint(&mut b, payload.len());
    b.extend_from_slice(payload);
    let n = unsafe { response_write(b.as_ptr(), b.len() as u32) };
    assert!(n >= 0);
}
