//! Figures in a terminal: as a real picture where it can show one, else in coloured half-blocks.
//!
//! viuer was looked at and not taken: it asks the terminal what it can do and reads the answer from the
//! keyboard's queue, which swallows what is typed ahead and waits on terminals that stay silent; and it
//! prints by itself. Here the choice is made from the environment alone, and text is returned.

use std::env;
use std::io::{IsTerminal, stdout};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use console::Term;

use super::encode::to_png;
use super::figure::Figure;
use super::halfblocks;
use super::raster::Raster;
use super::sixel;
use crate::error::Result;

/// The widest a picture becomes, in columns.
const MAX_COLUMNS: usize = 80;

/// About how wide a column is, in pixels of a figure.
const COLUMN_PIXELS: usize = 9;

/// How pictures are sent to a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// No pictures.
    Off,
    /// Text: `▀` with a colour for its upper and one for its lower half.
    HalfBlocks,
    /// kitty's graphics protocol; also Ghostty's.
    Kitty,
    /// iTerm2's inline images; also WezTerm's and some others'.
    Iterm,
    /// DEC's sixels.
    Sixel,
}

/// A terminal that figures are drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// How pictures are sent.
    pub protocol: Protocol,
    /// Its width in characters.
    pub columns: usize,
    /// Its height in lines.
    pub rows: usize,
    /// Whether it shows 24-bit colours, rather than 256.
    pub true_color: bool,
}

impl Protocol {
    /// The protocol of a name: `off`, `blocks`, `kitty`, `iterm` or `sixel`.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name.to_lowercase().as_str() {
            "off" | "none" | "0" => Self::Off,
            "blocks" | "halfblocks" | "half-blocks" => Self::HalfBlocks,
            "kitty" => Self::Kitty,
            "iterm" => Self::Iterm,
            "sixel" => Self::Sixel,
            _ => return None,
        })
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::HalfBlocks => "blocks",
            Self::Kitty => "kitty",
            Self::Iterm => "iterm",
            Self::Sixel => "sixel",
        }
    }

    /// Chooses by the environment, without asking the terminal.
    ///
    /// `PERCEPT_IMAGES` (`off`, `blocks`, `kitty`, `iterm` or `sixel`) decides where it is set. Nothing is
    /// drawn where the output is no terminal.
    pub fn choose(is_terminal: bool, variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        let value = |name: &str| variable(name).unwrap_or_default();
        if !is_terminal {
            return Self::Off;
        }
        if let Some(said) = Self::named(&value("PERCEPT_IMAGES")) {
            return said;
        }
        let (term, program) = (value("TERM"), value("TERM_PROGRAM"));
        if term == "dumb" {
            Self::Off
        } else if set("TMUX") || set("STY") || term.starts_with("screen") || term.starts_with("tmux") {
            // a multiplexer passes no pictures on, whatever the terminal outside it can do
            Self::HalfBlocks
        } else if set("KITTY_WINDOW_ID") || ["xterm-kitty", "xterm-ghostty"].contains(&&*term) || program == "ghostty" {
            Self::Kitty
        } else if ["iTerm.app", "WezTerm", "mintty", "rio", "WarpTerminal"].contains(&&*program)
            || set("KONSOLE_VERSION")
        {
            Self::Iterm
        } else if term.starts_with("foot") || term.starts_with("mlterm") {
            Self::Sixel
        } else {
            Self::HalfBlocks
        }
    }
}

impl Terminal {
    /// The terminal that standard output is.
    pub fn detect() -> Self {
        let variable = |name: &str| env::var(name).ok();
        let (rows, columns) = Term::stdout().size_checked().unwrap_or((24, 80));
        let colors = variable("COLORTERM").unwrap_or_default();
        Self {
            protocol: Protocol::choose(stdout().is_terminal(), variable),
            columns: usize::from(columns).max(1),
            rows: usize::from(rows).max(1),
            true_color: colors == "truecolor" || colors == "24bit",
        }
    }

    /// The figure as text to be written to this terminal, ending in a new line; empty if pictures are off.
    pub fn draw(&self, figure: &Figure) -> Result<String> {
        // the last column is left free: some terminals wrap when it is filled
        let columns = self.columns.saturating_sub(1).clamp(1, MAX_COLUMNS);
        match self.protocol {
            Protocol::Off => Ok(String::new()),
            Protocol::HalfBlocks => halfblocks::draw(figure, columns, self.rows, self.true_color),
            Protocol::Kitty => kitty(&figure.render()?, columns),
            Protocol::Iterm => iterm(&figure.render()?, columns),
            Protocol::Sixel => sixel::encode(&figure.render()?, columns * COLUMN_PIXELS),
        }
    }
}

/// In how many columns a picture is shown.
fn columns_for(picture: &Raster, columns: usize) -> usize {
    picture.width().div_ceil(COLUMN_PIXELS).clamp(1, columns)
}

fn kitty(picture: &Raster, columns: usize) -> Result<String> {
    const CHUNK: usize = 4096;
    let data = BASE64.encode(to_png(picture, &[])?);
    let columns = columns_for(picture, columns);
    let mut text = String::with_capacity(data.len() + data.len() / 100 + 100);
    let mut rest = data.as_str();
    // f=100: a PNG; a=T: transmit and show; q=2: no answer, which would come in as typed keys
    let mut control = format!("a=T,f=100,q=2,c={columns},");
    loop {
        let (chunk, later) = rest.split_at(rest.len().min(CHUNK));
        text += &format!("\x1b_G{control}m={};{chunk}\x1b\\", u8::from(!later.is_empty()));
        if later.is_empty() {
            return Ok(text + "\n");
        }
        control.clear();
        rest = later;
    }
}

fn iterm(picture: &Raster, columns: usize) -> Result<String> {
    let png = to_png(picture, &[])?;
    let columns = columns_for(picture, columns);
    let control = format!("inline=1;preserveAspectRatio=1;size={};width={columns}", png.len());
    Ok(format!("\x1b]1337;File={control}:{}\x07\n", BASE64.encode(png)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::image::Image;
    use crate::render::Body;

    fn choose(pairs: &[(&str, &str)]) -> Protocol {
        Protocol::choose(true, |name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    fn terminal(protocol: Protocol) -> Terminal {
        Terminal { protocol, columns: 80, rows: 24, true_color: true }
    }

    #[test]
    fn the_environment_decides() {
        assert_eq!(choose(&[("TERM", "xterm-256color")]), Protocol::HalfBlocks);
        assert_eq!(choose(&[("TERM", "xterm-kitty")]), Protocol::Kitty);
        assert_eq!(choose(&[("TERM", "xterm-ghostty")]), Protocol::Kitty);
        assert_eq!(choose(&[("TERM_PROGRAM", "iTerm.app")]), Protocol::Iterm);
        assert_eq!(choose(&[("TERM_PROGRAM", "WezTerm")]), Protocol::Iterm);
        assert_eq!(choose(&[("TERM", "foot")]), Protocol::Sixel);
        assert_eq!(choose(&[("TERM", "dumb")]), Protocol::Off);
        assert_eq!(choose(&[("KITTY_WINDOW_ID", "1"), ("TMUX", "/tmp/tmux,1,0")]), Protocol::HalfBlocks);
        assert_eq!(choose(&[("TMUX", "x"), ("PERCEPT_IMAGES", "kitty")]), Protocol::Kitty);
        assert_eq!(choose(&[("TERM", "xterm-kitty"), ("PERCEPT_IMAGES", "off")]), Protocol::Off);
        assert_eq!(Protocol::choose(false, |_| Some("kitty".into())), Protocol::Off);
    }

    #[test]
    fn a_kitty_picture_comes_in_chunks() {
        let noise = crate::image::noise(200, 100, 1).unwrap();
        let png = noise.encode_png().unwrap().len();
        let text = terminal(Protocol::Kitty).draw(&Figure::new(Body::Picture(noise))).unwrap();
        assert!(text.starts_with("\x1b_Ga=T,f=100,q=2,c=23,m=1;") && text.ends_with("\x1b\\\n"));
        let chunks: Vec<&str> = text.split("\x1b_G").skip(1).collect();
        assert!(chunks.len() > 10 && png > 30_000);
        let (last, first) = chunks.split_last().unwrap();
        assert!(first.iter().all(|c| c.contains("m=1;")) && last.starts_with("m=0;"));
        let payload: String =
            chunks.iter().map(|c| c.split_once(';').unwrap().1.split('\x1b').next().unwrap()).collect();
        let picture = Image::decode(&BASE64.decode(payload).unwrap(), "x").unwrap();
        assert_eq!((picture.width(), picture.height()), (200, 100));
    }

    #[test]
    fn other_protocols() {
        let figure = Figure::new(Body::Picture(Image::filled(2000, 10, [1.0, 0.0, 0.0]).unwrap()));
        let text = terminal(Protocol::Iterm).draw(&figure).unwrap();
        assert!(text.starts_with("\x1b]1337;File=inline=1;") && text.contains("width=79:") && text.ends_with("\x07\n"));
        assert_eq!(terminal(Protocol::Off).draw(&figure).unwrap(), "");
    }
}
