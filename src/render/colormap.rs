//! Numbers to colours.

use super::style::Rgb;
use crate::error::{Error, Kind, Result, did_you_mean};

/// A way from 0 to 1 through colours, with a lightness that is even to the eye.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colormap {
    /// Dark blue over green to yellow.
    Viridis,
    /// Black over purple and salmon to a pale yellow.
    Magma,
    /// Black over crimson and orange to yellow.
    Inferno,
    /// Black to white.
    Grey,
    /// Blue below the middle, white in it, red above: for values with a sign.
    Diverging,
}

impl Colormap {
    /// Every map with its name.
    pub const ALL: [(&'static str, Self); 5] = [
        ("viridis", Self::Viridis),
        ("magma", Self::Magma),
        ("inferno", Self::Inferno),
        ("grey", Self::Grey),
        ("diverging", Self::Diverging),
    ];

    /// The map of that name.
    pub fn named(name: &str) -> Result<Self> {
        let found = Self::ALL.iter().find(|(have, _)| *have == name).map(|(_, map)| *map);
        found.ok_or_else(|| {
            let names = Self::ALL.map(|(name, _)| name);
            let hint = did_you_mean(name, names).unwrap_or_else(|| format!("there are {}", names.join(", ")));
            Error::new(Kind::Name, format!("there is no colour map `{name}`")).with_hint(hint)
        })
    }

    /// The colour at `t` in `[0, 1]`; what lies outside gets the end's colour.
    pub fn at(self, t: f32) -> Rgb {
        match self {
            Self::Viridis => between(&VIRIDIS, t),
            Self::Magma => between(&MAGMA, t),
            Self::Inferno => between(&INFERNO, t),
            Self::Grey => between(&[0x000000, 0xffffff], t),
            Self::Diverging => between(&BLUE_RED, t),
        }
    }
}

/// The colour at `t` of a way through evenly spaced points.
fn between(points: &[u32], t: f32) -> Rgb {
    let last = points.len().saturating_sub(1);
    let at = t.clamp(0.0, 1.0) * last as f32;
    let index = (at as usize).min(last.saturating_sub(1));
    let (from, to) = (bytes(points, index), bytes(points, index + 1));
    let fraction = at - index as f32;
    std::array::from_fn(|c| match (from.get(c), to.get(c)) {
        (Some(from), Some(to)) => (from + (to - from) * fraction).round() as u8,
        _ => 0,
    })
}

fn bytes(points: &[u32], index: usize) -> [f32; 3] {
    let color = points.get(index).copied().unwrap_or_default();
    [color >> 16, color >> 8, color].map(|channel| f32::from((channel & 0xff) as u8))
}

// viridis, magma and inferno are every fifth of matplotlib's 256 colours (lib/matplotlib/_cm_listed.py,
// by Nathaniel Smith, Stéfan van der Walt and Eric Firing; CC0).

const VIRIDIS: [u32; 52] = [
    0x440154, 0x46085c, 0x471063, 0x481769, 0x481d6f, 0x482475, 0x472a7a, 0x46307e, 0x453781, 0x433d84, 0x414287,
    0x3f4889, 0x3d4e8a, 0x3a538b, 0x38598c, 0x355e8d, 0x33638d, 0x31688e, 0x2e6d8e, 0x2c718e, 0x2a768e, 0x297b8e,
    0x27808e, 0x25848e, 0x23898e, 0x218e8d, 0x20928c, 0x1f978b, 0x1e9c89, 0x1fa188, 0x21a585, 0x24aa83, 0x28ae80,
    0x2eb37c, 0x35b779, 0x3dbc74, 0x46c06f, 0x50c46a, 0x5ac864, 0x65cb5e, 0x70cf57, 0x7cd250, 0x89d548, 0x95d840,
    0xa2da37, 0xb0dd2f, 0xbddf26, 0xcae11f, 0xd8e219, 0xe5e419, 0xf1e51d, 0xfde725,
];

const MAGMA: [u32; 52] = [
    0x000004, 0x02020b, 0x050416, 0x090720, 0x0e0b2b, 0x140e36, 0x1a1042, 0x21114e, 0x29115a, 0x311165, 0x390f6e,
    0x420f75, 0x4a1079, 0x52137c, 0x5a167e, 0x621980, 0x6a1c81, 0x721f81, 0x792282, 0x812581, 0x892881, 0x912b81,
    0x992d80, 0xa1307e, 0xaa337d, 0xb2357b, 0xba3878, 0xc23b75, 0xca3e72, 0xd2426f, 0xd9466b, 0xe04c67, 0xe75263,
    0xec5860, 0xf1605d, 0xf4695c, 0xf7725c, 0xf97b5d, 0xfb8560, 0xfc8e64, 0xfd9869, 0xfea16e, 0xfeaa74, 0xfeb47b,
    0xfebd82, 0xfec68a, 0xfecf92, 0xfed89a, 0xfde2a3, 0xfdebac, 0xfcf4b6, 0xfcfdbf,
];

const INFERNO: [u32; 52] = [
    0x000004, 0x02020c, 0x050417, 0x0a0722, 0x10092d, 0x160b39, 0x1e0c45, 0x260c51, 0x2f0a5b, 0x380962, 0x400a67,
    0x490b6a, 0x510e6c, 0x59106e, 0x61136e, 0x69166e, 0x71196e, 0x781c6d, 0x801f6c, 0x88226a, 0x902568, 0x982766,
    0xa02a63, 0xa82e5f, 0xb0315b, 0xb73557, 0xbf3952, 0xc63d4d, 0xcc4248, 0xd34743, 0xd94d3d, 0xdf5337, 0xe45a31,
    0xe9612b, 0xed6925, 0xf1711f, 0xf47918, 0xf78212, 0xf98b0b, 0xfa9407, 0xfb9d07, 0xfca60c, 0xfcb014, 0xfbba1f,
    0xfac42a, 0xf8cd37, 0xf6d746, 0xf4e156, 0xf2ea69, 0xf2f27d, 0xf5f992, 0xfcffa4,
];

// ColorBrewer's eleven-class RdBu from blue to red (Cynthia Brewer, Apache-2.0), its middle made pure white
// so that zero is no colour at all.
const BLUE_RED: [u32; 11] =
    [0x053061, 0x2166ac, 0x4393c3, 0x92c5de, 0xd1e5f0, 0xffffff, 0xfddbc7, 0xf4a582, 0xd6604d, 0xb2182b, 0x67001f];

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// CIE lightness, 0 to 100.
    fn lightness(color: Rgb) -> f32 {
        let linear = color.map(|byte| {
            let v = f32::from(byte) / 255.0;
            if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
        });
        let y = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
        if y > 0.008_856 { 116.0 * y.cbrt() - 16.0 } else { 903.3 * y }
    }

    fn along(map: Colormap, from: f32, to: f32) -> Vec<f32> {
        (0..=100).map(|i| lightness(map.at(from + (to - from) * i as f32 / 100.0))).collect()
    }

    #[test]
    fn lightness_only_grows() {
        for (name, map) in Colormap::ALL {
            if map != Colormap::Diverging {
                assert!(along(map, 0.0, 1.0).windows(2).all(|w| w[1] > w[0] - 0.05), "{name}");
            }
        }
    }

    #[test]
    fn the_diverging_map_is_lightest_and_colourless_in_the_middle() {
        assert_eq!(Colormap::Diverging.at(0.5), [255; 3]);
        assert!(along(Colormap::Diverging, 0.0, 0.5).windows(2).all(|w| w[1] > w[0]));
        assert!(along(Colormap::Diverging, 0.5, 1.0).windows(2).all(|w| w[1] < w[0]));
        let [red, _, blue] = Colormap::Diverging.at(0.8);
        assert!(red > blue);
    }

    #[test]
    fn the_ends_are_as_published() {
        assert_eq!(Colormap::Viridis.at(0.0), [0x44, 0x01, 0x54]);
        assert_eq!(Colormap::Viridis.at(1.0), [0xfd, 0xe7, 0x25]);
        assert_eq!(Colormap::Magma.at(-3.0), [0, 0, 4]);
        assert_eq!(Colormap::Inferno.at(7.0), [0xfc, 0xff, 0xa4]);
        assert_eq!(Colormap::Grey.at(0.5), [128; 3]);
        assert_eq!(Colormap::Grey.at(f32::NAN), [0; 3]);
    }

    #[test]
    fn names() {
        assert_eq!(Colormap::named("magma").unwrap(), Colormap::Magma);
        assert!(Colormap::named("virdis").unwrap_err().to_string().contains("`viridis`"));
    }
}
