//! Where the tokens of a text begin and end, and what they are: for colouring it and for completing it.

use std::ops::Range;

use rhai::Token;

use super::scan::{Inside, Place, Role, Scan};

/// A token and the bytes that it takes.
#[derive(Clone, Debug)]
pub struct Span<'a> {
    /// The token.
    pub token: &'a Token,
    /// Where it starts.
    pub place: Place,
    /// Its bytes.
    pub range: Range<usize>,
}

/// What a piece of a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A word of the language itself.
    Keyword,
    /// The name of a function that is called or defined.
    Function,
    /// The name of a keyword argument.
    Argument,
    /// Any other name.
    Name,
    /// A number.
    Number,
    /// A string or character, or a part of one between `${…}`.
    Text,
    /// A comment.
    Comment,
    /// Brackets; `()` is one piece.
    Bracket,
    /// An operator or punctuation.
    Symbol,
    /// What is not of the language.
    Wrong,
}

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Highlight {
    /// Its bytes.
    pub range: Range<usize>,
    /// What it is.
    pub kind: TokenKind,
}

/// Turns places into bytes, going forward.
struct Walk<'a> {
    text: &'a str,
    byte: usize,
    place: Place,
}

impl Walk<'_> {
    fn to(&mut self, place: Place) -> usize {
        while self.place < place {
            let Some(c) = self.text[self.byte..].chars().next() else { break };
            self.byte += c.len_utf8();
            self.place = if c == '\n' { (self.place.0 + 1, 1) } else { (self.place.0, self.place.1 + 1) };
        }
        self.byte
    }
}

/// The byte at which a place stands.
pub fn byte_at(text: &str, place: Place) -> usize {
    Walk { text, byte: 0, place: (1, 1) }.to(place)
}

/// The tokens of a text with their bytes, comments apart.
pub fn spans<'a>(scan: &'a Scan, text: &str) -> Vec<Span<'a>> {
    let mut walk = Walk { text, byte: 0, place: (1, 1) };
    let mut comments = scan.comments.iter().peekable();
    let mut spans: Vec<Span<'a>> = Vec::with_capacity(scan.tokens.len());
    for lexeme in &scan.tokens {
        // what comes first of this token and the comments before it ends the token before
        while let Some((place, comment)) = comments.next_if(|(place, _)| *place < lexeme.place) {
            let at = walk.to(*place);
            close(&mut spans, text, at);
            walk.to((place.0, place.1 + comment.chars().take_while(|c| *c != '\n').count()));
        }
        let start = walk.to(lexeme.place);
        close(&mut spans, text, start);
        spans.push(Span { token: &lexeme.token, place: lexeme.place, range: start..text.len() });
    }
    let end = match (comments.next(), scan.inside) {
        (Some((place, _)), _) => walk.to(*place),
        (None, Some(Inside::Text(place) | Inside::Comment(place))) => walk.to(place),
        (None, None) => text.len(),
    };
    close(&mut spans, text, end);
    spans
}

/// The last token ends where there is only space until `next`.
fn close(spans: &mut [Span<'_>], text: &str, next: usize) {
    if let Some(last) = spans.last_mut()
        && last.range.end >= next.max(last.range.start)
    {
        last.range.end = last.range.start + text[last.range.start..next.max(last.range.start)].trim_end().len();
    }
}

/// The highlights of a text in order; what stands between them is space.
pub fn highlights(scan: &Scan, text: &str) -> Vec<Highlight> {
    let spans = spans(scan, text);
    let mut highlights: Vec<Highlight> = Vec::with_capacity(spans.len() + scan.comments.len());
    for (index, span) in spans.iter().enumerate() {
        let next = spans.get(index + 1).map(|next| next.token);
        let kind = match scan.roles.get(&span.place) {
            Some(Role::Name) => TokenKind::Argument,
            _ => kind(span.token, next),
        };
        highlights.push(Highlight { range: span.range.clone(), kind });
    }
    let mut walk = Walk { text, byte: 0, place: (1, 1) };
    for (place, comment) in &scan.comments {
        let start = walk.to(*place);
        let end = (start + comment.len()).min(text.len());
        if text.is_char_boundary(end) {
            highlights.push(Highlight { range: start..end, kind: TokenKind::Comment });
        }
    }
    match scan.inside {
        Some(Inside::Text(place)) => {
            highlights.push(Highlight { range: walk.to(place)..text.len(), kind: TokenKind::Text })
        }
        Some(Inside::Comment(place)) => {
            highlights.push(Highlight { range: walk.to(place)..text.len(), kind: TokenKind::Comment })
        }
        None => {}
    }
    highlights.sort_by_key(|piece| piece.range.start);
    highlights
}

fn kind(token: &Token, next: Option<&Token>) -> TokenKind {
    match token {
        Token::Identifier(_) | Token::Reserved(_) | Token::Custom(_)
            if matches!(next, Some(Token::LeftParen | Token::Unit)) =>
        {
            TokenKind::Function
        }
        Token::Identifier(_) | Token::Underscore | Token::Custom(_) => TokenKind::Name,
        Token::IntegerConstant(_) | Token::FloatConstant(_) => TokenKind::Number,
        Token::StringConstant(_) | Token::InterpolatedString(_) | Token::CharConstant(_) => TokenKind::Text,
        Token::LeftParen
        | Token::RightParen
        | Token::Unit
        | Token::LeftBracket
        | Token::RightBracket
        | Token::QuestionBracket
        | Token::LeftBrace
        | Token::RightBrace
        | Token::MapStart => TokenKind::Bracket,
        Token::LexError(_) => TokenKind::Wrong,
        Token::Reserved(name) if name.starts_with(char::is_alphabetic) => TokenKind::Name,
        token if token.is_literal() && token.literal_syntax().starts_with(char::is_alphabetic) => TokenKind::Keyword,
        _ => TokenKind::Symbol,
    }
}
