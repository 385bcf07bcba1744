//! Reading request bodies: bounded as they come, and bounded again when they are unpacked.

use std::io::Read;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::problem::{Kind, Problem, Result};

/// Largest body of a request with events, packed and unpacked (`contracts/hub-api.md`, "Events in").
pub const MAX_EVENTS_BYTES: usize = 10 << 20;
/// Largest body of every other request.
pub const MAX_DOCUMENT_BYTES: usize = 1 << 20;

/// Largest window of a zstd body, as a power of two: 16 MiB, enough for everything of [`MAX_EVENTS_BYTES`]. Without
/// this a small body could ask for 128 MiB.
const MAX_ZSTD_WINDOW_LOG: u32 = 24;

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

/// The body of a request with events, unpacked; at most [`MAX_EVENTS_BYTES`].
pub async fn events(headers: &HeaderMap, body: Body) -> Result<Bytes> {
    let encoding = encoding_of(headers)?;
    let packed = read(headers, body, MAX_EVENTS_BYTES).await?;
    if encoding == Encoding::Identity {
        return Ok(packed);
    }
    // Ten megabytes take tens of milliseconds to unpack: not on a thread that serves others.
    let unpacked = tokio::task::spawn_blocking(move || unpack(encoding, &packed, MAX_EVENTS_BYTES)).await;
    unpacked.map_err(|e| Problem::new(Kind::Internal, "the body could not be unpacked").internally(e.to_string()))?
}

/// The body of any other request; at most [`MAX_DOCUMENT_BYTES`], not packed.
pub async fn document(headers: &HeaderMap, body: Body) -> Result<Bytes> {
    match encoding_of(headers)? {
        Encoding::Identity => read(headers, body, MAX_DOCUMENT_BYTES).await,
        _ => Err(Problem::new(Kind::UnsupportedEncoding, "only events may be sent packed")),
    }
}

/// Answers 415 unless the content type, without its parameters, is one of these; gives which one.
pub fn expect_type(headers: &HeaderMap, types: &[&str]) -> Result<usize> {
    let written = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let essence = written.split(';').next().unwrap_or_default().trim();
    types.iter().position(|t| essence.eq_ignore_ascii_case(t)).ok_or_else(|| {
        Problem::new(
            Kind::UnsupportedMediaType,
            format!("\"{essence}\" is not understood here; send {}", types.join(" or ")),
        )
    })
}

fn encoding_of(headers: &HeaderMap) -> Result<Encoding> {
    let Some(value) = headers.get(header::CONTENT_ENCODING) else { return Ok(Encoding::Identity) };
    match value.to_str().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(Encoding::Identity),
        "gzip" | "x-gzip" => Ok(Encoding::Gzip),
        "zstd" => Ok(Encoding::Zstd),
        other => Err(Problem::new(
            Kind::UnsupportedEncoding,
            format!("\"{other}\" is not understood; send gzip, zstd or none"),
        )),
    }
}

async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|n| n > limit as u64) {
        return Err(too_large(limit));
    }
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(e) if e.is::<LengthLimitError>() => Err(too_large(limit)),
        Err(e) => Err(Problem::new(Kind::InvalidBody, "the body did not come to its end").internally(e.to_string())),
    }
}

fn unpack(encoding: Encoding, packed: &[u8], limit: usize) -> Result<Bytes> {
    let mut out = Vec::with_capacity(packed.len().saturating_mul(4).min(limit + 1));
    let done = match encoding {
        Encoding::Identity => packed.take(limit as u64 + 1).read_to_end(&mut out),
        Encoding::Gzip => flate2::read::MultiGzDecoder::new(packed).take(limit as u64 + 1).read_to_end(&mut out),
        Encoding::Zstd => zstd_reader(packed).and_then(|r| r.take(limit as u64 + 1).read_to_end(&mut out)),
    };
    if out.len() > limit {
        return Err(too_large(limit));
    }
    match done {
        Ok(_) => Ok(out.into()),
        Err(e) => Err(Problem::new(Kind::InvalidBody, format!("the body can't be unpacked: {e}"))),
    }
}

fn zstd_reader(packed: &[u8]) -> std::io::Result<impl Read> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
    decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
    Ok(decoder)
}

fn too_large(limit: usize) -> Problem {
    Problem::new(Kind::TooLarge, format!("the body has more than {limit} bytes, packed or unpacked"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut w = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        w.write_all(bytes).unwrap();
        w.finish().unwrap()
    }

    fn kind(result: Result<Bytes>) -> Option<Kind> {
        result.err().map(|p| p.kind())
    }

    #[test]
    fn a_packed_body_is_unpacked_up_to_the_limit_and_not_a_byte_further() {
        let (fits, over) = (vec![b'x'; 1_000], vec![b'x'; 1_001]);
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            let pack = |b: &[u8]| if encoding == Encoding::Gzip { gzip(b) } else { zstd::encode_all(b, 1).unwrap() };
            assert_eq!(unpack(encoding, &pack(&fits), 1_000).unwrap(), fits);
            assert_eq!(kind(unpack(encoding, &pack(&over), 1_000)), Some(Kind::TooLarge));
            assert_eq!(kind(unpack(encoding, b"not packed", 1_000)), Some(Kind::InvalidBody));
            let half = pack(&fits);
            assert_eq!(kind(unpack(encoding, &half[..half.len() - 3], 1_000)), Some(Kind::InvalidBody));
        }
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_the_limit_whether_its_length_is_announced_or_not() {
        let mut headers = HeaderMap::new();
        assert_eq!(read(&headers, Body::from(vec![b'x'; 100]), 100).await.unwrap().len(), 100);
        assert_eq!(kind(read(&headers, Body::from(vec![b'x'; 101]), 100).await), Some(Kind::TooLarge));
        headers.insert(header::CONTENT_LENGTH, 101.into());
        assert_eq!(kind(read(&headers, Body::empty(), 100).await), Some(Kind::TooLarge));
    }

    #[test]
    fn other_content_types_and_encodings_are_refused() {
        let mut headers = HeaderMap::new();
        assert!(expect_type(&headers, &["application/json"]).is_err());
        headers.insert(header::CONTENT_TYPE, "Application/JSON; charset=utf-8".parse().unwrap());
        assert_eq!(expect_type(&headers, &["text/plain", "application/json"]).ok(), Some(1));
        for (written, right) in [("br", false), ("gzip, zstd", false), ("GZIP", true), ("identity", true)] {
            headers.insert(header::CONTENT_ENCODING, written.parse().unwrap());
            assert_eq!(encoding_of(&headers).is_ok(), right, "{written}");
        }
    }
}
