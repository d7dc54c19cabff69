//! Colours of the prompt, readable on dark and on light ground.

use std::ops::Range;

use crate::session::{Highlight, TokenKind};

const PLAIN: &str = "\x1b[0m";

/// What each highlight of a text looks like: the parameters of an escape sequence, nothing for the terminal's own.
#[derive(Clone, Copy, Debug)]
pub struct Palette {
    keyword: &'static str,
    function: &'static str,
    argument: &'static str,
    number: &'static str,
    text: &'static str,
    comment: &'static str,
    wrong: &'static str,
    command: &'static str,
    /// Hints and details.
    pub quiet: &'static str,
    /// The parameter that is being typed.
    pub current: &'static str,
    pub prompt: &'static str,
    matching: &'static str,
}

/// Middle shades of the 256 colours: no less than 3.9 to 1 on black and on white.
const MANY: Palette = Palette {
    keyword: "38;5;133",
    function: "38;5;32",
    argument: "38;5;130",
    number: "38;5;30",
    text: "38;5;64",
    comment: "38;5;244",
    wrong: "4;38;5;160",
    command: "38;5;133",
    quiet: "38;5;244",
    current: "1;38;5;130",
    prompt: "1",
    matching: "1;4",
};

/// What every colour terminal has.
const FEW: Palette = Palette {
    keyword: "35",
    function: "34",
    argument: "33",
    number: "36",
    text: "32",
    comment: "2",
    wrong: "4;31",
    command: "35",
    quiet: "2",
    current: "1",
    prompt: "1",
    matching: "1;4",
};

/// No colour, but what is only a hint must not look typed.
const NONE: Palette = Palette {
    keyword: "",
    function: "",
    argument: "",
    number: "",
    text: "",
    comment: "",
    wrong: "",
    command: "",
    quiet: "2",
    current: "1",
    prompt: "",
    matching: "1",
};

impl Palette {
    /// What suits the terminal, as `NO_COLOR`, `COLORTERM` and `TERM` say.
    pub fn of_terminal() -> Self {
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        if !variable("NO_COLOR").is_empty() {
            NONE
        } else if !variable("COLORTERM").is_empty() || variable("TERM").contains("256") {
            MANY
        } else {
            FEW
        }
    }

    fn style(&self, kind: TokenKind) -> &'static str {
        match kind {
            TokenKind::Keyword => self.keyword,
            TokenKind::Function => self.function,
            TokenKind::Argument => self.argument,
            TokenKind::Number => self.number,
            TokenKind::Text => self.text,
            TokenKind::Comment => self.comment,
            TokenKind::Wrong => self.wrong,
            TokenKind::Name | TokenKind::Bracket | TokenKind::Symbol => "",
        }
    }

    /// A text with its highlights coloured, and the brackets at `matched` shown; functions that are not `known` stay plain.
    pub fn paint(
        &self,
        text: &str,
        highlights: &[Highlight],
        matched: &[Range<usize>],
        known: impl Fn(&str) -> bool,
    ) -> String {
        if let Some(line) = text.trim_start().strip_prefix([':', '?']) {
            let start = text.len() - line.len() - 1;
            let end = text[start..].find(char::is_whitespace).map_or(text.len(), |at| start + at);
            return format!("{}{}{}", &text[..start], styled(&text[start..end], self.command), &text[end..]);
        }
        let mut painted = String::with_capacity(text.len() * 3);
        let mut at = 0;
        for Highlight { range, kind } in highlights {
            painted.push_str(&text[at..range.start]);
            at = range.end;
            let word = &text[range.clone()];
            match kind {
                TokenKind::Bracket => {
                    let mut from = range.start;
                    for bracket in matched.iter().filter(|bracket| range.contains(&bracket.start)) {
                        painted.push_str(&text[from..bracket.start]);
                        painted.push_str(&styled(&text[bracket.clone()], self.matching));
                        from = bracket.end;
                    }
                    painted.push_str(&text[from..range.end]);
                }
                TokenKind::Function if !known(word) => painted.push_str(word),
                _ => painted.push_str(&styled(word, self.style(*kind))),
            }
        }
        painted.push_str(&text[at..]);
        painted
    }
}

/// A text in a style. Each of its lines carries the style, so that no terminal fills a line's rest.
pub fn styled(text: &str, style: &str) -> String {
    if style.is_empty() || text.is_empty() {
        return text.to_owned();
    }
    let lines: Vec<String> = text
        .split('\n')
        .map(|line| if line.is_empty() { String::new() } else { format!("\x1b[{style}m{line}{PLAIN}") })
        .collect();
    lines.join("\n")
}

/// The bracket at the cursor (under it, or in front of it) and the one that belongs to it, in order.
pub fn matching(text: &str, highlights: &[Highlight], cursor: usize) -> Option<[Range<usize>; 2]> {
    let mut pairs = Vec::new();
    let mut open: Vec<Range<usize>> = Vec::new();
    for Highlight { range, .. } in highlights.iter().filter(|highlight| highlight.kind == TokenKind::Bracket) {
        match &text[range.clone()] {
            // there may be space between them
            unit if unit.starts_with('(') && unit.ends_with(')') => {
                pairs.push([range.start..range.start + 1, range.end - 1..range.end]);
            }
            ")" | "]" | "}" => pairs.extend(open.pop().map(|open| [open, range.clone()])),
            _ => open.push(range.clone()),
        }
    }
    let at = |place: usize| move |pair: &&[Range<usize>; 2]| pair.iter().any(|bracket| bracket.contains(&place));
    let under = pairs.iter().find(at(cursor));
    under.or_else(|| cursor.checked_sub(1).and_then(|before| pairs.iter().find(at(before)))).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_find_each_other() {
        let text = "f(a[1], \")\")";
        let bracket = |at: usize| Highlight { range: at..at + 1, kind: TokenKind::Bracket };
        let highlights = [bracket(1), bracket(3), bracket(5), bracket(11)];
        assert_eq!(matching(text, &highlights, 1), Some([1..2, 11..12]));
        assert_eq!(matching(text, &highlights, 12), Some([1..2, 11..12]));
        assert_eq!(matching(text, &highlights, 5), Some([3..4, 5..6]));
        assert_eq!(matching(text, &highlights, 8), None);
        let unit = [Highlight { range: 1..3, kind: TokenKind::Bracket }];
        assert_eq!(matching("f()", &unit, 3), Some([1..2, 2..3]));
    }

    #[test]
    fn a_style_does_not_run_over_the_end_of_a_line() {
        assert_eq!(styled("a\n\nb", "1"), "\x1b[1ma\x1b[0m\n\n\x1b[1mb\x1b[0m");
        assert_eq!(styled("a", ""), "a");
    }
}
