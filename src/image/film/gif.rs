//! Films as GIFs.

use std::borrow::Cow;

use gif::{AnyExtension, Encoder, EncodingError, Frame, Repeat};
use rayon::prelude::*;

use super::Film;
use super::palette::Indexed;
use crate::error::{Error, Kind, Result};

/// Frames that are made at once; between them a film can be stopped.
const TOGETHER: usize = 8;
/// The extension that holds a comment.
const COMMENT: AnyExtension = AnyExtension(0xFE);

impl Film {
    /// The film as a GIF, each frame with a palette of its own, with its provenance as a comment. Delays are in hundredths of
    /// a second; they differ by one where that keeps the film's time. `done` is told how many more frames are finished.
    ///
    /// # Errors
    /// `done` says so.
    pub fn encode_gif(&self, mut done: impl FnMut(usize) -> Result<()>) -> Result<Vec<u8>> {
        let fault = |error: EncodingError| Error::new(Kind::Internal, format!("writing a GIF: {error}"));
        // no side of an image is above 65,535
        let (width, height) = (self.width() as u16, self.height() as u16);
        let mut encoder = Encoder::new(Vec::new(), width, height, &[]).map_err(fault)?;
        if self.repeat() {
            encoder.set_repeat(Repeat::Infinite).map_err(fault)?;
        }
        if let Some(text) = self.provenance() {
            encoder.write_raw_extension(COMMENT, &[text.as_bytes()]).map_err(fault)?;
        }
        for (group, images) in self.frames().chunks(TOGETHER).enumerate() {
            let frame = |(place, image): (usize, &super::Image)| {
                let Indexed { palette, indices } = Indexed::new(&image.to_rgb8(), image.width());
                let mut frame = Frame {
                    width,
                    height,
                    delay: delay(group * TOGETHER + place, self.fps()),
                    palette: Some(palette),
                    buffer: Cow::Owned(indices),
                    ..Frame::default()
                };
                frame.make_lzw_pre_encoded();
                frame
            };
            let frames: Vec<Frame<'_>> = images.par_iter().enumerate().map(frame).collect();
            for frame in &frames {
                encoder.write_lzw_pre_encoded_frame(frame).map_err(fault)?;
            }
            done(frames.len())?;
        }
        encoder.into_inner().map_err(fault)
    }
}

/// How long a frame stays, in hundredths of a second: until the next one is due, rounded.
fn delay(frame: usize, fps: f64) -> u16 {
    let due = |frame: usize| (100.0 * frame as f64 / fps).round();
    (due(frame + 1) - due(frame)) as u16
}

#[cfg(test)]
mod tests {
    use super::delay;

    #[test]
    fn delays_add_up_to_the_time_of_the_film() {
        let delays: Vec<u16> = (0..12).map(|frame| delay(frame, 12.0)).collect();
        assert_eq!(delays.iter().sum::<u16>(), 100);
        assert!(delays.iter().all(|delay| (8..=9).contains(delay)));
        assert!((0..100).all(|frame| delay(frame, 50.0) == 2));
        assert_eq!(delay(3, 0.1), 1000);
    }
}
