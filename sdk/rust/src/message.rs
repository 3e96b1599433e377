//! Requests, responses and frames (RFC-MYTHOS-0006, section 10).

use crate::codec::{self, err, Checked, Reader, BYTES, MAP, TEXT, UINT};
use crate::Call;

const REQUEST: &str = "mythos.tool.request";
const RESPONSE: &str = "mythos.tool.response";

/// Reads a ToolRequest {1 schema, 2 tool_id, 3 payload, 4 idem_id}.
pub fn decode_request(request: Vec<u8>) -> Checked<Call> {
    let mut payload = (0, 0);
    let (mut tool_id, mut idem_id) = ([0; 32], [0; 32]);
    let mut r = Reader::new(&request);
    let mut s = r.structure(0, 4, false)?;
    while let Some(no) = s.next(&mut r)? {
        match no {
            1 => schema(&mut r)?,
            2 => tool_id = hash(&mut r)?,
            3 => {
                let at = r.tag(BYTES)?;
                let b = r.content(at)?;
                payload = (r.off - b.len(), r.off);
            }
            4 => idem_id = hash(&mut r)?,
            _ => r.value(1)?,
        }
    }
    r.done()?;
    if let Err(e) = codec::check(&request[payload.0..payload.1]) {
        return err("abi_payload", e.offset);
    }
    Ok(Call { request, payload, tool_id, idem_id })
}

fn schema(r: &mut Reader<'_>) -> Checked<()> {
    let at = r.tag(TEXT)?;
    if r.utf8(at)? != REQUEST {
        return err("schema_mismatch", at);
    }
    Ok(())
}

/// Reads a Hash {1 alg = 1, 2 bytes of 32}, a closed struct.
fn hash(r: &mut Reader<'_>) -> Checked<[u8; 32]> {
    let mut digest = [0; 32];
    let mut s = r.structure(1, 2, true)?;
    while let Some(no) = s.next(r)? {
        if no == 1 {
            let at = r.tag(UINT)?;
            match r.varint(at)? {
                1 => {}
                2..=255 | 0 => return err("hash_alg", at),
                _ => return err("can_range", at),
            }
            continue;
        }
        let at = r.tag(BYTES)?;
        let b = r.content(at)?;
        if b.len() != digest.len() {
            return err("can_length", at);
        }
        digest.copy_from_slice(b);
    }
    Ok(digest)
}

/// Writes a ToolResponse {1 schema, 2 status, 3 payload, 4 error {1 code,
/// 2 message?}?}.
pub fn encode_response(status: u16, payload: &[u8], error: Option<(&str, &str)>) -> Vec<u8> {
    let texts = error.map_or(0, |(code, message)| code.len() + message.len() + 24);
    let mut out = Vec::with_capacity(48 + payload.len() + texts);
    out.extend_from_slice(&[MAP, if error.is_some() { 4 } else { 3 }, UINT, 1]);
    codec::put_sized(&mut out, TEXT, RESPONSE.as_bytes());
    out.extend_from_slice(&[UINT, 2, UINT]);
    codec::put_uvarint(&mut out, status.into());
    out.extend_from_slice(&[UINT, 3]);
    codec::put_sized(&mut out, BYTES, payload);
    if let Some((code, message)) = error {
        out.extend_from_slice(&[UINT, 4, MAP, if message.is_empty() { 1 } else { 2 }, UINT, 1]);
        codec::put_sized(&mut out, TEXT, code.as_bytes());
        if !message.is_empty() {
            out.extend_from_slice(&[UINT, 2]);
            codec::put_sized(&mut out, TEXT, message.as_bytes());
        }
    }
    out
}
