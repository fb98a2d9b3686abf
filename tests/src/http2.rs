//! HTTP/2 by hand, for clients that no library would be: frames as bytes (RFC 9113), heads without compression (RFC 7541).

/// How every connection begins, with settings that change nothing.
#[must_use]
pub fn beginning() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    bytes
}

/// One frame.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The head of a gRPC call that is not over yet, with a field of so many bytes in it.
#[must_use]
pub fn call(stream: u32, path: &str, extra: usize) -> Vec<u8> {
    const END_HEADERS: u8 = 4;
    // POST, http, and the names of path and authority are in the static table.
    let mut head = vec![0x83, 0x86];
    field(&mut head, &[0x04], path.as_bytes());
    field(&mut head, &[0x01], b"p2p");
    field(&mut head, &[0x0f, 0x10], b"application/grpc");
    field(&mut head, &[0x00, 0x02, b't', b'e'], b"trailers");
    if extra > 0 {
        field(&mut head, &[0x00, 0x01, b'x'], &vec![b'x'; extra]);
    }
    frame(1, END_HEADERS, stream, &head)
}

fn field(head: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    head.extend(name);
    let length = value.len();
    match u8::try_from(length) {
        Ok(short) if short < 0x7f => head.push(short),
        _ => {
            head.push(0x7f);
            let mut left = length - 0x7f;
            while left >= 0x80 {
                head.push((left % 0x80) as u8 | 0x80);
                left /= 0x80;
            }
            head.push(left as u8);
        }
    }
    head.extend(value);
}

/// So many calls that are begun and taken back at once.
#[must_use]
pub fn resets(path: &str, count: u32) -> Vec<u8> {
    const CANCEL: u32 = 8;
    let mut bytes = beginning();
    for stream in (1..).step_by(2).take(count as usize) {
        bytes.extend(call(stream, path, 0));
        bytes.extend(frame(3, 0, stream, &CANCEL.to_be_bytes()));
    }
    bytes
}

/// The code with which the other end said goodbye, when it did.
#[must_use]
pub fn goodbye(heard: &[u8]) -> Option<u32> {
    let mut rest = heard;
    while rest.len() >= 9 {
        let length = usize::from(rest[0]) << 16 | usize::from(rest[1]) << 8 | usize::from(rest[2]);
        let payload = rest.get(9..9 + length)?;
        if rest[3] == 7 {
            return payload.get(4..8)?.try_into().ok().map(u32::from_be_bytes);
        }
        rest = &rest[9 + length..];
    }
    None
}
