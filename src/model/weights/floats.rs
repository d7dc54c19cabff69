//! The number formats that weights are stored in.

/// In what order the bytes of a number are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    /// The lowest first, as nearly every machine.
    Little,
    /// The highest first.
    Big,
}

/// How a float is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Double precision.
    F64,
    /// Single precision.
    F32,
    /// Half precision.
    F16,
    /// The upper half of single precision.
    Bf16,
}

impl Format {
    /// Bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Stored numbers, one after the other, as float32; bytes that are left over are ignored.
    pub fn decode(self, data: &[u8], order: ByteOrder) -> Vec<f32> {
        match self {
            Self::F64 => each(data, order, |bytes| f64::from_le_bytes(bytes) as f32),
            Self::F32 => each(data, order, f32::from_le_bytes),
            Self::F16 => each(data, order, |bytes| half_to_f32(u16::from_le_bytes(bytes))),
            Self::Bf16 => each(data, order, |[low, high]| f32::from_le_bytes([0, 0, low, high])),
        }
    }
}

fn each<const N: usize>(data: &[u8], order: ByteOrder, read: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let numbers = data.as_chunks::<N>().0.iter();
    match order {
        ByteOrder::Little => numbers.map(|bytes| read(*bytes)).collect(),
        ByteOrder::Big => numbers
            .map(|bytes| {
                let mut bytes = *bytes;
                bytes.reverse();
                read(bytes)
            })
            .collect(),
    }
}

/// IEEE 754 half precision: one sign bit, five of exponent, ten of mantissa.
fn half_to_f32(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, mantissa) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    sign * match exponent {
        0 => mantissa * 2f32.powi(-24),
        0x1f if mantissa == 0.0 => f32::INFINITY,
        0x1f => f32::NAN,
        _ => (1024.0 + mantissa) * 2f32.powi(exponent - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_byte_orders_are_read() {
        let numbers = [1.0, -2.5, 1024.0];
        let little: Vec<u8> = numbers.iter().flat_map(|v: &f64| v.to_le_bytes()).collect();
        let big: Vec<u8> = numbers.iter().flat_map(|v: &f64| v.to_be_bytes()).collect();
        assert_eq!(Format::F64.decode(&little, ByteOrder::Little), [1.0, -2.5, 1024.0]);
        assert_eq!(Format::F64.decode(&big, ByteOrder::Big), [1.0, -2.5, 1024.0]);
        assert_eq!(Format::F16.decode(&[0x3c, 0x00, 0xc1, 0x00], ByteOrder::Big), [1.0, -2.5]);
        assert_eq!(Format::Bf16.decode(&[0x80, 0x3f, 0x20, 0xc0], ByteOrder::Little), [1.0, -2.5]);
    }

    #[test]
    fn every_half_is_read() {
        // 0x0001 is the smallest subnormal, 0x03ff the largest; 0x7bff is the largest number
        let halves = [0x0001u16, 0x03ff, 0x0400, 0x7bff, 0x7c00, 0xfc00];
        let bytes: Vec<u8> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
        let expected = [5.960_464_5e-8, 6.097_555e-5, 6.103_515_6e-5, 65504.0, f32::INFINITY, f32::NEG_INFINITY];
        assert_eq!(Format::F16.decode(&bytes, ByteOrder::Little), expected);
        assert!(Format::F16.decode(&[0x01, 0x7e], ByteOrder::Little)[0].is_nan());
    }
}
