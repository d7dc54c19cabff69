//! The constants of an ONNX graph, and what operations make of constants alone: the weights, and the arithmetic on
//! shapes that exporters write out.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::attributes::Attributes;
use super::ints::{Ints, MOST_INTS, count, too_many_ints};
use super::proto::TensorProto;
use crate::error::{Error, Kind, Result};

/// Known numbers.
#[derive(Clone, Debug)]
pub(super) enum Constant {
    /// Weights, float32 whatever they were in the file.
    Floats(Tensor),
    /// Shapes, axes, indices and truth values.
    Ints(Ints),
}

impl Constant {
    /// The numbers of a tensor of the file, which may hold fewer than its shape says.
    pub(super) fn read(tensor: &TensorProto<'_>) -> Result<Self> {
        read(tensor).map_err(|error| error.context(format!("tensor `{}`", tensor.name)))
    }

    /// A list of whole numbers.
    pub(super) fn ints(values: Vec<i64>) -> Result<Self> {
        Ok(Self::Ints(Ints::list(values)?))
    }

    /// A single number or a list of them.
    pub(super) fn floats(values: Vec<f32>, dims: &[usize]) -> Result<Self> {
        Ok(Self::Floats(Tensor::from_vec(values, dims, &Device::Cpu)?))
    }

    /// Its shape.
    pub(super) fn dims(&self) -> &[usize] {
        match self {
            Self::Floats(tensor) => tensor.dims(),
            Self::Ints(ints) => &ints.dims,
        }
    }

    /// Its whole numbers in a row.
    pub(super) fn to_ints(&self) -> Option<Vec<i64>> {
        match self {
            Self::Ints(ints) => Some(ints.values.to_vec()),
            Self::Floats(_) => None,
        }
    }

    /// Its weights.
    pub(super) fn tensor(&self) -> Option<&Tensor> {
        match self {
            Self::Floats(tensor) => Some(tensor),
            Self::Ints(_) => None,
        }
    }

    /// The number, if it is a single one, whatever its shape.
    pub(super) fn scalar(&self) -> Option<f32> {
        match self {
            Self::Floats(tensor) if tensor.elem_count() == 1 => {
                tensor.flatten_all().ok()?.get(0).ok()?.to_scalar().ok()
            }
            Self::Ints(ints) if ints.values.len() == 1 => ints.values.first().map(|value| *value as f32),
            _ => None,
        }
    }

    fn reshape(&self, dims: Vec<usize>) -> Result<Self> {
        Ok(match self {
            Self::Floats(tensor) => Self::Floats(tensor.reshape(dims)?),
            Self::Ints(ints) => Self::Ints(Ints { dims, values: Arc::clone(&ints.values) }),
        })
    }
}

fn read(tensor: &TensorProto<'_>) -> Result<Constant> {
    let fault = |message: String| Error::new(Kind::File, message);
    if let Some(external) = tensor.external {
        return Err(fault(format!("its values are in another file, `{}`", external.location))
            .with_hint("open the network by its path, with that file beside it"));
    }
    let dims = tensor.dims.iter().map(|size| usize::try_from(*size)).collect::<Result<Vec<usize>, _>>();
    let dims = dims.map_err(|_| fault(format!("its shape {:?} has a negative size", tensor.dims)))?;
    let wanted = count(&dims).ok_or_else(|| fault(format!("its shape {dims:?} is beyond every memory")))?;
    let shape = dims.clone();
    let short = |found: usize| fault(format!("its shape {shape:?} promises {wanted} numbers, the file has {found}"));

    let float = match tensor.data_type {
        1 => Some(DType::F32),
        10 => Some(DType::F16),
        11 => Some(DType::F64),
        16 => Some(DType::BF16),
        _ => None,
    };
    if let Some(dtype) = float {
        let values = match (tensor.raw, dtype) {
            _ if wanted == 0 => Tensor::zeros(dims.as_slice(), DType::F32, &Device::Cpu)?,
            (Some(raw), _) if Some(raw.len()) != wanted.checked_mul(dtype.size_in_bytes()) => {
                return Err(short(raw.len() / dtype.size_in_bytes()));
            }
            (Some(raw), _) => Tensor::from_raw_buffer(raw, dtype, &dims, &Device::Cpu)?,
            (None, DType::F32) if tensor.floats.len() == wanted => {
                Tensor::from_slice(&tensor.floats, dims.as_slice(), &Device::Cpu)?
            }
            (None, DType::F64) if tensor.doubles.len() == wanted => {
                Tensor::from_slice(&tensor.doubles, dims.as_slice(), &Device::Cpu)?
            }
            // half precision without raw data is written as the bits, a whole number each
            (None, DType::F16 | DType::BF16) if tensor.ints.len() == wanted => {
                let bits: Vec<u8> = tensor.ints.iter().flat_map(|bits| (*bits as u16).to_le_bytes()).collect();
                Tensor::from_raw_buffer(&bits, dtype, &dims, &Device::Cpu)?
            }
            (None, _) => return Err(short(tensor.floats.len().max(tensor.doubles.len()).max(tensor.ints.len()))),
        };
        return Ok(Constant::Floats(values.to_dtype(DType::F32)?));
    }

    let width = match tensor.data_type {
        2 | 3 | 9 => 1,
        4 | 5 => 2,
        6 | 12 => 4,
        7 | 13 => 8,
        other => {
            let message = format!("its element type is number {other} of ONNX's list, which is not supported");
            return Err(fault(message).with_hint("weights are float32, float16, bfloat16 or float64"));
        }
    };
    let signed = !matches!(tensor.data_type, 2 | 4 | 9 | 12);
    if wanted > MOST_INTS {
        return Err(too_many_ints(wanted));
    }
    let values: Vec<i64> = match tensor.raw {
        Some(raw) => raw.chunks_exact(width).map(|bytes| whole(bytes, signed)).collect(),
        None => tensor.ints.clone(),
    };
    if values.len() != wanted {
        return Err(short(values.len()));
    }
    Ok(Constant::Ints(Ints::new(dims, values)?))
}

/// A little-endian whole number of up to eight bytes.
fn whole(bytes: &[u8], signed: bool) -> i64 {
    let negative = signed && bytes.last().is_some_and(|byte| *byte >= 0x80);
    let mut all = [if negative { 0xff } else { 0 }; 8];
    all.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    i64::from_le_bytes(all)
}

/// The operations that are computed when all they read is known.
const FOLDED: [&str; 19] = [
    "Add",
    "Cast",
    "Ceil",
    "Concat",
    "ConstantOfShape",
    "Div",
    "Flatten",
    "Floor",
    "Gather",
    "Identity",
    "Mul",
    "Neg",
    "Reshape",
    "Shape",
    "Slice",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Unsqueeze",
];

/// What an operation makes of constants; none if it is not one of those that are computed beforehand. New weights
/// are paid from `budget`, in bytes.
pub(super) fn fold(
    op: &str,
    attributes: &Attributes<'_>,
    inputs: &[Option<Constant>],
    budget: &mut usize,
) -> Result<Option<Constant>> {
    let transposed = op == "Transpose";
    if !FOLDED.contains(&op) && !transposed {
        return Ok(None);
    }
    let first = match inputs.first() {
        Some(Some(first)) => first,
        _ => return Err(Error::new(Kind::File, "its first input is missing")),
    };
    let second = inputs.get(1).and_then(Option::as_ref);
    let list = |at: usize, name: &str| -> Option<Vec<i64>> {
        inputs.get(at).and_then(Option::as_ref).and_then(Constant::to_ints).or_else(|| attributes.ints(name))
    };
    Ok(Some(match op {
        "Identity" => first.clone(),
        "Cast" => cast(first, attributes.int("to", 1))?,
        "Shape" => {
            let rank = first.dims().len();
            Constant::ints(part(&shape_ints(first.dims()), attributes, rank))?
        }
        "Reshape" => {
            let target = list(1, "shape").ok_or_else(|| Error::new(Kind::File, "its shape is missing"))?;
            first.reshape(reshaped(first.dims(), &target, attributes.int("allowzero", 0) != 0)?)?
        }
        "Flatten" => {
            let axis = attributes.int("axis", 1);
            let at =
                if axis == first.dims().len() as i64 { first.dims().len() } else { axis_of(axis, first.dims().len())? };
            let product = |dims: &[usize]| dims.iter().product::<usize>();
            first.reshape(vec![product(&first.dims()[..at]), product(&first.dims()[at..])])?
        }
        "Squeeze" => first.reshape(squeezed(first.dims(), list(1, "axes").as_deref())?)?,
        "Unsqueeze" => first.reshape(unsqueezed(first.dims(), &list(1, "axes").unwrap_or_default())?)?,
        "Transpose" => match first {
            Constant::Floats(tensor) => {
                let order = order(attributes.ints("perm"), tensor.rank())?;
                pay(budget, tensor.dims())?;
                Constant::Floats(tensor.permute(order)?.contiguous()?)
            }
            Constant::Ints(ints) => Constant::Ints(ints.transposed(&order(attributes.ints("perm"), ints.dims.len())?)?),
        },
        "Concat" => join(inputs, attributes.int("axis", 0), budget)?,
        "Gather" => match (first, second) {
            (Constant::Ints(data), Some(Constant::Ints(indices))) if data.dims.len() == 1 => {
                let pick = |index: &i64| data.values.get(axis_of(*index, data.values.len()).ok()?).copied();
                let picked: Option<Vec<i64>> = indices.values.iter().map(pick).collect();
                let picked = picked.ok_or_else(|| Error::new(Kind::File, "an index is beyond the end"))?;
                Constant::Ints(Ints::new(indices.dims.clone(), picked)?)
            }
            _ => return Ok(None),
        },
        "Slice" => match (first, list(1, "starts"), list(2, "ends")) {
            (Constant::Ints(data), Some(starts), Some(ends)) if starts.len() == ends.len() => {
                let axes = list(3, "axes").unwrap_or_else(|| (0..starts.len() as i64).collect());
                let steps = list(4, "steps").unwrap_or_else(|| vec![1; starts.len()]);
                let mut sliced = data.clone();
                for (((start, end), axis), step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
                    sliced = sliced.sliced(axis_of(*axis, data.dims.len())?, *start, *end, *step)?;
                }
                Constant::Ints(sliced)
            }
            _ => return Ok(None),
        },
        "ConstantOfShape" => {
            let dims: Vec<usize> =
                first.to_ints().unwrap_or_default().iter().map(|size| usize::try_from(*size).unwrap_or(0)).collect();
            let value = attributes.tensor("value").map(Constant::read).transpose()?;
            pay(budget, &dims)?;
            match value {
                Some(Constant::Ints(ints)) => {
                    let value = ints.values.first().copied().unwrap_or(0);
                    let count = count(&dims).unwrap_or(0).min(MOST_INTS + 1);
                    Constant::Ints(Ints::new(dims, vec![value; count])?)
                }
                other => {
                    let value = other.and_then(|value| value.scalar()).unwrap_or(0.0);
                    Constant::Floats(Tensor::full(value, dims, &Device::Cpu)?)
                }
            }
        }
        "Add" | "Sub" | "Mul" | "Div" => match (first, second) {
            (Constant::Ints(a), Some(Constant::Ints(b))) => Constant::Ints(arithmetic(op, a, b)?),
            (Constant::Floats(a), Some(Constant::Floats(b))) => {
                pay(budget, a.shape().broadcast_shape_binary_op(b.shape(), "fold")?.dims())?;
                Constant::Floats(match op {
                    "Add" => a.broadcast_add(b)?,
                    "Sub" => a.broadcast_sub(b)?,
                    "Mul" => a.broadcast_mul(b)?,
                    _ => a.broadcast_div(b)?,
                })
            }
            _ => return Ok(None),
        },
        _ => match first {
            Constant::Floats(tensor) => {
                pay(budget, tensor.dims())?;
                Constant::Floats(match op {
                    "Sqrt" => tensor.sqrt()?,
                    "Neg" => tensor.neg()?,
                    "Floor" => tensor.floor()?,
                    _ => tensor.ceil()?,
                })
            }
            Constant::Ints(ints) if op == "Neg" => {
                let values = ints.values.iter().map(|value| value.wrapping_neg()).collect();
                Constant::Ints(Ints::new(ints.dims.clone(), values)?)
            }
            Constant::Ints(_) => return Ok(None),
        },
    }))
}

/// Takes the bytes of a tensor of this shape from what may still be allocated.
pub(super) fn pay(budget: &mut usize, dims: &[usize]) -> Result<()> {
    let left = count(dims).and_then(|count| budget.checked_sub(count.checked_mul(size_of::<f32>())?));
    *budget = left.ok_or_else(|| {
        Error::new(Kind::File, format!("constants of shape {dims:?} take much more memory than the file itself"))
    })?;
    Ok(())
}

/// Sizes as whole numbers.
pub(super) fn shape_ints(dims: &[usize]) -> Vec<i64> {
    dims.iter().map(|size| *size as i64).collect()
}

/// What the attributes `start` and `end` of a Shape leave of it.
pub(super) fn part(dims: &[i64], attributes: &Attributes<'_>, rank: usize) -> Vec<i64> {
    let range = range(attributes.int("start", 0), attributes.int("end", i64::MAX), rank);
    dims.get(range).unwrap_or_default().to_vec()
}

/// A slice's bounds, counted from the end where negative and cut off at the ends.
pub(super) fn range(start: i64, end: i64, size: usize) -> std::ops::Range<usize> {
    let bound = |at: i64| {
        let at = if at < 0 { at.saturating_add(size as i64) } else { at };
        at.clamp(0, size as i64) as usize
    };
    let (start, end) = (bound(start), bound(end));
    start..end.max(start)
}

/// An axis, counted from the end where negative.
pub(super) fn axis_of(axis: i64, rank: usize) -> Result<usize> {
    let from_start = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
    let found = usize::try_from(from_start).ok().filter(|axis| *axis < rank);
    found.ok_or_else(|| Error::new(Kind::File, format!("there is no axis {axis} among {rank}")))
}

/// The order of a transpose's axes; turned round where it is not given.
pub(super) fn order(perm: Option<Vec<i64>>, rank: usize) -> Result<Vec<usize>> {
    let Some(perm) = perm else { return Ok((0..rank).rev().collect()) };
    let order = perm.iter().map(|axis| axis_of(*axis, rank)).collect::<Result<Vec<usize>>>()?;
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if sorted != (0..rank).collect::<Vec<_>>() {
        return Err(Error::new(Kind::File, format!("{perm:?} is no order of {rank} axes")));
    }
    Ok(order)
}

/// The shape that a Reshape asks for: 0 keeps a size, −1 is what is left.
pub(super) fn reshaped(dims: &[usize], target: &[i64], zero_is_zero: bool) -> Result<Vec<usize>> {
    let fault = || Error::new(Kind::File, format!("{dims:?} cannot be reshaped to {target:?}"));
    let size = |(at, size): (usize, &i64)| match size {
        -1 => Ok(None),
        0 if !zero_is_zero => dims.get(at).copied().map(Some).ok_or_else(fault),
        size => usize::try_from(*size).map(Some).map_err(|_| fault()),
    };
    let sizes = target.iter().enumerate().map(size).collect::<Result<Vec<Option<usize>>>>()?;
    let known: Vec<usize> = sizes.iter().flatten().copied().collect();
    let (all, known) = (count(dims).ok_or_else(fault)?, count(&known).ok_or_else(fault)?);
    let left = match sizes.len() - sizes.iter().flatten().count() {
        0 if known == all => 1,
        1 if known > 0 && all.is_multiple_of(known) => all / known,
        _ => return Err(fault()),
    };
    Ok(sizes.into_iter().map(|size| size.unwrap_or(left)).collect())
}

/// A shape without some of its ones, all of them if no axes are given.
pub(super) fn squeezed(dims: &[usize], axes: Option<&[i64]>) -> Result<Vec<usize>> {
    let axes = match axes {
        Some(axes) => axes.iter().map(|axis| axis_of(*axis, dims.len())).collect::<Result<Vec<usize>>>()?,
        None => (0..dims.len()).filter(|axis| dims[*axis] == 1).collect(),
    };
    if let Some(axis) = axes.iter().find(|axis| dims[**axis] != 1) {
        return Err(Error::new(Kind::File, format!("axis {axis} of {dims:?} is not 1, so it cannot be squeezed")));
    }
    Ok((0..dims.len()).filter(|axis| !axes.contains(axis)).map(|axis| dims[axis]).collect())
}

/// A shape with ones put in, at these places of the result.
pub(super) fn unsqueezed(dims: &[usize], axes: &[i64]) -> Result<Vec<usize>> {
    let rank = dims.len() + axes.len();
    let axes = axes.iter().map(|axis| axis_of(*axis, rank)).collect::<Result<Vec<usize>>>()?;
    let mut left = dims.iter().copied();
    let sizes: Option<Vec<usize>> =
        (0..rank).map(|at| if axes.contains(&at) { Some(1) } else { left.next() }).collect();
    sizes
        .filter(|_| left.next().is_none())
        .ok_or_else(|| Error::new(Kind::File, format!("{axes:?} names an axis twice")))
}

fn cast(value: &Constant, to: i64) -> Result<Constant> {
    let to_float = matches!(to, 1 | 10 | 11 | 16);
    Ok(match value {
        Constant::Ints(ints) if to_float => {
            Constant::floats(ints.values.iter().map(|value| *value as f32).collect(), &ints.dims)?
        }
        Constant::Floats(tensor) if !to_float => {
            if tensor.elem_count() > MOST_INTS {
                return Err(Error::new(Kind::File, "weights are cast to whole numbers"));
            }
            let values = tensor.flatten_all()?.to_vec1::<f32>()?;
            Constant::Ints(Ints::new(tensor.dims().to_vec(), values.iter().map(|value| *value as i64).collect())?)
        }
        same => same.clone(),
    })
}

fn join(inputs: &[Option<Constant>], axis: i64, budget: &mut usize) -> Result<Constant> {
    let ints: Vec<&Ints> = inputs
        .iter()
        .flatten()
        .filter_map(|input| if let Constant::Ints(ints) = input { Some(ints) } else { None })
        .collect();
    if ints.len() == inputs.len() && ints.iter().all(|ints| ints.dims.len() == 1) {
        if ints.iter().map(|ints| ints.values.len()).sum::<usize>() > MOST_INTS {
            return Err(Error::new(Kind::File, "the joined list of whole numbers is too long"));
        }
        return Constant::ints(ints.iter().flat_map(|ints| ints.values.iter().copied()).collect());
    }
    let tensors: Vec<&Tensor> = inputs.iter().flatten().filter_map(Constant::tensor).collect();
    if tensors.is_empty() || tensors.len() != inputs.len() {
        return Err(Error::new(Kind::File, "numbers of different kinds are joined"));
    }
    let axis = axis_of(axis, tensors[0].rank())?;
    tensors.iter().try_for_each(|tensor| pay(budget, tensor.dims()))?;
    Ok(Constant::Floats(Tensor::cat(&tensors, axis)?))
}

/// Arithmetic on shapes: of equal lists, or with a single number.
fn arithmetic(op: &str, a: &Ints, b: &Ints) -> Result<Ints> {
    let (count, dims) = match (a.values.len(), b.values.len()) {
        (left, right) if left == right && a.dims.len() >= b.dims.len() => (left, a.dims.clone()),
        (left, right) if left == right => (right, b.dims.clone()),
        (left, 1) => (left, a.dims.clone()),
        (1, right) => (right, b.dims.clone()),
        _ => return Err(Error::new(Kind::File, format!("{:?} and {:?} do not go together", a.dims, b.dims))),
    };
    let at = |ints: &Ints, i: usize| ints.values.get(if ints.values.len() == 1 { 0 } else { i }).copied().unwrap_or(0);
    let one = |i: usize| {
        let (a, b) = (at(a, i), at(b, i));
        match op {
            "Add" => a.checked_add(b),
            "Sub" => a.checked_sub(b),
            "Mul" => a.checked_mul(b),
            _ => a.checked_div(b),
        }
    };
    let values = (0..count).map(one).collect::<Option<Vec<i64>>>();
    Ints::new(dims, values.ok_or_else(|| Error::new(Kind::File, format!("{op} of whole numbers has no result")))?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_worked_out() {
        assert_eq!(reshaped(&[2, 3, 4], &[0, -1], false).unwrap(), [2, 12]);
        assert_eq!(reshaped(&[2, 3, 4], &[-1, 1, 6], false).unwrap(), [4, 1, 6]);
        for bad in [&[-1, -1][..], &[5, -1], &[24, 2], &[-2, 12], &[0, 0, 0, 0]] {
            reshaped(&[2, 3, 4], bad, false).unwrap_err();
        }
        assert_eq!(squeezed(&[1, 3, 1], None).unwrap(), [3]);
        assert_eq!(squeezed(&[1, 3, 1], Some(&[-1])).unwrap(), [1, 3]);
        squeezed(&[1, 3, 1], Some(&[1])).unwrap_err();
        assert_eq!(unsqueezed(&[3], &[0, -1]).unwrap(), [1, 3, 1]);
        unsqueezed(&[3], &[0, 0]).unwrap_err();
        assert_eq!(order(None, 3).unwrap(), [2, 1, 0]);
        order(Some(vec![0, 0, 1]), 3).unwrap_err();
        assert_eq!((range(-2, i64::MAX, 4), range(3, 1, 4)), (2..4, 3..3));
    }

    #[test]
    fn numbers_are_read_in_every_type() {
        let read = |data_type: i64, dims: &[i64], raw: &[u8]| {
            Constant::read(&TensorProto { data_type, dims: dims.to_vec(), raw: Some(raw), ..TensorProto::default() })
        };
        let floats = |constant: Constant| constant.tensor().unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(floats(read(1, &[1], &1.5f32.to_le_bytes()).unwrap()), [1.5]);
        assert_eq!(floats(read(11, &[1], &1.5f64.to_le_bytes()).unwrap()), [1.5]);
        assert_eq!(floats(read(10, &[2], &[0, 0x3c, 0, 0xc1]).unwrap()), [1.0, -2.5]);
        assert_eq!(floats(read(16, &[1], &[0x20, 0xc0]).unwrap()), [-2.5]);
        assert_eq!(read(7, &[1], &(-5i64).to_le_bytes()).unwrap().to_ints().unwrap(), [-5]);
        assert_eq!(read(3, &[2], &[0xff, 1]).unwrap().to_ints().unwrap(), [-1, 1]);
        assert_eq!(read(2, &[1], &[0xff]).unwrap().to_ints().unwrap(), [255]);
        for (dims, why) in
            [(&[2][..], "promises 2 numbers, the file has 1"), (&[-1], "negative"), (&[1 << 30, 1 << 30], "memory")]
        {
            let error = read(1, dims, &[0; 4]).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
        assert!(read(7, &[1 << 20], &[]).unwrap_err().to_string().contains("only floating-point"));
        assert!(read(8, &[1], &[]).unwrap_err().to_string().contains("not supported"));
    }
}
