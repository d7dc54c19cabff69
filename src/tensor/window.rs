//! How many places a sliding window has along one side of an image.

/// Places of a window of `kernel` taps, `dilation` apart, moved by `stride` over `size` values with
/// `padding` zeros `[before, after]` them; none if the window doesn't fit even once.
pub(crate) fn positions(
    size: usize,
    kernel: usize,
    stride: usize,
    padding: [usize; 2],
    dilation: usize,
) -> Option<usize> {
    let reach = dilation.checked_mul(kernel.checked_sub(1)?)?.checked_add(1)?;
    let room = size.checked_add(padding[0])?.checked_add(padding[1])?.checked_sub(reach)?;
    Some(room.checked_div(stride)? + 1)
}

/// The same for pooling. With `ceil_mode` a last window that hangs over the end counts too, as long as it
/// starts inside the image or its left padding (PyTorch's `pooling_output_shape`, ATen/native/Pool.h).
pub(crate) fn pool_positions(
    size: usize,
    kernel: usize,
    stride: usize,
    padding: [usize; 2],
    ceil_mode: bool,
) -> Option<usize> {
    if !ceil_mode {
        return positions(size, kernel, stride, padding, 1);
    }
    let overhang = stride.checked_sub(1)?;
    kernel.checked_sub(1)?;
    let room = size.checked_add(padding[0])?.checked_add(padding[1])?.checked_add(overhang)?.checked_sub(kernel)?;
    let count = room / stride + 1;
    let last_starts_outside = (count - 1) * stride >= size + padding[0];
    let count = if last_starts_outside { count - 1 } else { count };
    (count > 0).then_some(count)
}

/// The first and last of `count` places whose tap, `offset` after the place's start, lies inside `size` values;
/// none if there is no such place. `padding` is what stands before the values.
pub(crate) fn inside(
    offset: usize,
    stride: usize,
    padding: usize,
    size: usize,
    count: usize,
) -> Option<(usize, usize)> {
    let first = padding.saturating_sub(offset).div_ceil(stride);
    let last = ((size + padding).checked_sub(offset + 1)? / stride).min(count.checked_sub(1)?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, window by window.
    fn counted(size: usize, kernel: usize, stride: usize, padding: [usize; 2], ceil_mode: bool) -> usize {
        let end = size + padding[0] + padding[1];
        (0..)
            .map(|i| i * stride)
            .take_while(|start| {
                let inside = start + kernel <= end;
                let hangs_over = start + kernel < end + stride && *start < size + padding[0];
                inside || (ceil_mode && hangs_over)
            })
            .count()
    }

    #[test]
    fn counts_every_window() {
        for size in 0..20 {
            for kernel in 1..6 {
                for stride in 1..5 {
                    for padding in
                        (0..=kernel / 2).flat_map(|before| (0..=kernel / 2).map(move |after| [before, after]))
                    {
                        for ceil_mode in [false, true] {
                            assert_eq!(
                                pool_positions(size, kernel, stride, padding, ceil_mode).unwrap_or(0),
                                counted(size, kernel, stride, padding, ceil_mode),
                                "size {size} kernel {kernel} stride {stride} padding {padding:?} ceil {ceil_mode}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_fits_without_stride_or_kernel() {
        assert_eq!(positions(5, 3, 0, [0; 2], 1), None);
        assert_eq!(positions(5, 0, 1, [0; 2], 1), None);
        assert_eq!(pool_positions(5, 3, 0, [0; 2], true), None);
        assert_eq!(pool_positions(5, 0, 1, [0; 2], true), None);
        assert_eq!(positions(2, 3, 1, [0; 2], 1), None);
        assert_eq!(positions(7, 3, 2, [0; 2], 2), Some(2));
    }
}
