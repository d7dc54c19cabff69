//! How much memory runs may use.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Result;
use crate::lang::{Dynamic, FromValue, Reject, function};

static BYTES: AtomicUsize = AtomicUsize::new(1 << 30);

/// Less than this leaves no room for a single image.
const LEAST: usize = 64 << 20;

/// Bytes that the buffers of a run and what is prepared for it should stay within; 1 GiB unless it was set. Work over
/// many images is cut into parts that fit; a single image is run whatever it needs.
pub fn memory() -> usize {
    BYTES.load(Ordering::Relaxed)
}

/// Sets what [`memory`] returns, for all models of the process; at least 64 MiB.
pub fn set_memory(bytes: usize) {
    BYTES.store(bytes.max(LEAST), Ordering::Relaxed);
}

/// A number of bytes, or a text such as "512 MB".
struct Size(usize);

impl FromValue for Size {
    const EXPECTED: &'static str = "a number of bytes or a text such as \"512 MB\"";
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        let bytes = match value.as_int() {
            Ok(bytes) => usize::try_from(bytes).ok(),
            Err(_) => value.clone().into_string().ok().as_deref().and_then(parse),
        };
        match bytes {
            Some(bytes) if bytes >= LEAST => Ok(Self(bytes)),
            Some(_) => Err(Reject::Because("is less than 64 MB, which a single image may need".to_owned(), None)),
            None => Err(Reject::Type),
        }
    }
}

/// The bytes of "512 MB"; units are powers of 1024.
fn parse(text: &str) -> Option<usize> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit.trim().to_ascii_uppercase().as_str() {
        "" | "B" => 1.0,
        "KB" | "KIB" => 1024.0,
        "MB" | "MIB" => 1024.0 * 1024.0,
        "GB" | "GIB" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some((number.parse::<f64>().ok()? * factor) as usize)
}

/// How much memory networks may use for their buffers and prepared weights, in bytes.
///
/// ```rhai
/// memory_limit()
/// ```
#[function(name = "memory_limit")]
fn current_limit() -> Result<i64> {
    Ok(memory() as i64)
}

/// Sets how much memory networks may use for their buffers and prepared weights, and returns it in bytes.
///
/// Work over many images, such as an occlusion, is cut into parts that fit. A single image is run whatever it needs.
///
/// ```rhai
/// memory_limit("1 GB")
/// ```
#[function(name = "memory_limit")]
fn set_limit(
    /// A number of bytes, or a text such as "512 MB"; at least 64 MB.
    limit: Size,
) -> Result<i64> {
    set_memory(limit.0);
    Ok(memory() as i64)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse("512 MB"), Some(512 << 20));
        assert_eq!(parse(" 1.5gib "), Some(3 << 29));
        assert_eq!(parse("1000"), Some(1000));
        assert_eq!(parse("12 parsec"), None);
        assert_eq!(parse("MB"), None);
    }
}
