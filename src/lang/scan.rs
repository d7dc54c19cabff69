//! Keyword arguments: finding `name =` inside calls before Rhai parses the text.
//!
//! No text is inserted, so every position stays exact. The scan says which tokens the parser
//! should see as something else (see [`Role`]) and remembers where each argument of each call
//! stands, so that an error can point at the argument at fault.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use rhai::{Engine, Position, Token};

/// Line and column, both from 1; columns count characters.
pub type Place = (usize, usize);

/// What the parser sees in place of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The name of a keyword argument: a string.
    Name,
    /// Its `=`: an operator of [`super::keywords`].
    Equals,
    /// A comma between two keyword arguments: an operator of [`super::keywords`].
    Comma,
    /// `_` as a variable, the last value shown: an identifier. (In a `switch` it means "anything else".)
    Last,
    /// The function `eval`: replaced by one that knows keyword arguments.
    Eval,
    /// A function of the script that is called with keyword arguments: the name of its wrapper.
    ScriptFunction {
        /// Is it called as `value.name(…)`?
        method: bool,
    },
}

/// Tokens that the parser must see as something else while one text is compiled.
pub(super) type Roles = Rc<RefCell<HashMap<Place, Role>>>;

/// One argument of a call.
#[derive(Clone, Debug)]
pub struct Argument {
    /// The keyword, if it has one.
    pub keyword: Option<String>,
    /// Where it starts: at its keyword, or at the first token of its value.
    pub start: Place,
    /// Where its value starts.
    pub value: Place,
    /// The place of the comma or parenthesis behind it.
    pub end: Place,
}

/// One call: `name(arguments)`.
#[derive(Clone, Debug)]
pub struct CallSite {
    /// The name of the function.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// Is it `value.name(…)`? Then the value is the first argument, and not in `arguments`.
    pub method: bool,
    /// What stands between the parentheses.
    pub arguments: Vec<Argument>,
}

impl CallSite {
    /// The argument given by this keyword.
    pub fn keyword(&self, name: &str) -> Option<&Argument> {
        self.arguments.iter().find(|argument| argument.keyword.as_deref() == Some(name))
    }
}

/// What the scan found to be wrong, where, and what would be right.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub hint: String,
}

/// What a scan knows about a text.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// Tokens that the parser must see as something else.
    pub roles: HashMap<Place, Role>,
    /// All calls, by the place of the function's name.
    pub calls: HashMap<Place, CallSite>,
    /// The first fault.
    pub fault: Option<Fault>,
    /// Calls that are still open at the end of the text, outermost first.
    pub open: Vec<CallSite>,
    /// Brackets, strings or comments that are still open at the end of the text.
    pub unclosed: usize,
    /// Does the text end with a token that asks for more: an operator, a comma, a dot?
    pub dangling: bool,
    /// Where the brackets stand that are still open, outermost first.
    pub brackets: Vec<Place>,
    /// Where the string or comment starts that is still open at the end of the text.
    pub inside: Option<Inside>,
    /// All tokens, comments apart.
    pub tokens: Vec<Lexeme>,
    /// Where comments start, and what they say.
    pub comments: Vec<(Place, String)>,
}

/// What the text ends in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inside {
    /// A string that starts here.
    Text(Place),
    /// A comment that starts here.
    Comment(Place),
}

/// A token and where it starts.
#[derive(Clone, Debug)]
pub struct Lexeme {
    /// The token.
    pub token: Token,
    /// Where it starts.
    pub place: Place,
}

/// What kind of bracket is open.
enum Bracket {
    Call(Open),
    /// The parameters of a closure: `|a, b|`.
    Closure,
    /// `${…}` in a string.
    Interpolation,
    Other,
}

/// A call whose closing parenthesis has not been seen.
struct Open {
    site: CallSite,
    /// The comma in front of the argument being read.
    comma: Option<Place>,
    /// The argument being read.
    current: Option<Argument>,
    /// Has a keyword argument been seen?
    keywords: bool,
    closure: Body,
}

/// The body of a closure that is the value of a keyword argument.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    /// No closure in the argument being read.
    None,
    /// Its parameters are over, the body comes.
    Expected,
    /// A body in braces, which are still open or have just been closed.
    Braced,
    /// A body without braces: it would swallow the next argument.
    Bare(Place),
}

fn place(position: Position) -> Place {
    (position.line().unwrap_or(0), position.position().unwrap_or(0))
}

fn word(token: &Token) -> Option<String> {
    match token {
        Token::Identifier(name) => Some(name.to_string()),
        Token::Reserved(name) => Some(name.to_string()),
        // a word of Rhai's loops, and the name of an argument: until="stable"
        Token::Until => Some("until".to_owned()),
        _ => None,
    }
}

/// Can an operand end with this token? Then a `|` behind it is an operator, not a closure.
fn ends_operand(token: &Token) -> bool {
    matches!(
        token,
        Token::Identifier(_)
            | Token::Reserved(_)
            | Token::Underscore
            | Token::IntegerConstant(_)
            | Token::FloatConstant(_)
            | Token::CharConstant(_)
            | Token::StringConstant(_)
            | Token::True
            | Token::False
            | Token::Unit
            | Token::RightParen
            | Token::RightBracket
            | Token::RightBrace
    )
}

/// Does the language expect something behind this token?
fn asks_for_more(token: &Token) -> bool {
    matches!(
        token,
        Token::Comma
            | Token::Period
            | Token::Elvis
            | Token::Equals
            | Token::Plus
            | Token::Minus
            | Token::Multiply
            | Token::Divide
            | Token::Modulo
            | Token::PowerOf
            | Token::And
            | Token::Or
            | Token::EqualsTo
            | Token::NotEqualsTo
            | Token::LessThan
            | Token::GreaterThan
            | Token::LessThanEqualsTo
            | Token::GreaterThanEqualsTo
            | Token::DoubleColon
            | Token::Else
            | Token::Let
            | Token::Fn
            | Token::In
            | Token::DoubleArrow
    )
}

/// Scans a text. The engine's token mapper must be idle: the scan reads the tokens as written.
pub fn scan(engine: &Engine, text: &str) -> Scan {
    let mut scan = Scan::default();
    let mut brackets: Vec<(Bracket, Place)> = Vec::new();
    let mut before: Vec<(Token, Place)> = Vec::new();
    let mut resumed = false;
    let mut lost = false;

    let input = [text];
    let (mut tokens, control) = engine.lex(&input);
    tokens.state.include_comments = true;
    while let Some((token, position)) = tokens.next() {
        let here = match (place(position), scan.tokens.last()) {
            // an empty rest of a string has no place of its own
            ((0, _), Some(brace)) if resumed => (brace.place.0, brace.place.1 + 1),
            (here, _) => here,
        };
        match token {
            Token::EOF => break,
            Token::Comment(text) => {
                if tokens.state.comment_level > 0 {
                    scan.inside = Some(Inside::Comment(here));
                    break;
                }
                scan.comments.push((here, text.to_string()));
                continue;
            }
            Token::LexError(error) => {
                if matches!(*error, rhai::LexError::UnterminatedString) {
                    scan.inside = Some(Inside::Text(here));
                    break;
                }
                // what follows is only coloured
                lost = true;
                scan.tokens.push(Lexeme { token: Token::LexError(error), place: here });
                continue;
            }
            _ => {}
        }
        scan.tokens.push(Lexeme { token: token.clone(), place: here });
        resumed = false;
        if lost {
            continue;
        }
        let last = before.last().map(|(token, _)| token);
        let starts_operand = !last.is_some_and(ends_operand);
        note_closure_body(brackets.last_mut().map(|(bracket, _)| bracket), &token, last, here);
        start_argument(brackets.last_mut().map(|(bracket, _)| bracket), &token, here);

        match &token {
            Token::InterpolatedString(_) => brackets.push((Bracket::Interpolation, here)),
            Token::LeftParen => brackets.push((open_bracket(&before), here)),
            // the brace that opens `${` belongs to the interpolation
            Token::LeftBrace if matches!(last, Some(Token::InterpolatedString(_))) => {}
            Token::LeftBrace | Token::LeftBracket | Token::MapStart | Token::QuestionBracket => {
                brackets.push((Bracket::Other, here));
            }
            Token::Pipe if matches!(brackets.last(), Some((Bracket::Closure, _))) => {
                brackets.pop();
                expect_body(brackets.last_mut().map(|(bracket, _)| bracket));
            }
            Token::Pipe if starts_operand => brackets.push((Bracket::Closure, here)),
            Token::Or if starts_operand => expect_body(brackets.last_mut().map(|(bracket, _)| bracket)),
            Token::RightParen => {
                if let Some((Bracket::Call(mut open), _)) = brackets.pop() {
                    finish_argument(&mut open, here, &mut scan);
                    scan.calls.insert(open.site.place, open.site);
                }
            }
            Token::RightBracket => {
                brackets.pop();
            }
            Token::RightBrace => {
                if let Some((Bracket::Interpolation, _)) = brackets.pop() {
                    control.borrow_mut().is_within_text = true;
                    resumed = true;
                }
            }
            Token::Comma => {
                if let Some((Bracket::Call(open), _)) = brackets.last_mut() {
                    finish_argument(open, here, &mut scan);
                    open.comma = Some(here);
                }
            }
            Token::Equals => {
                if let Some((Bracket::Call(open), _)) = brackets.last_mut() {
                    keyword(open, &before, here, &mut scan);
                }
            }
            _ => {}
        }
        if matches!(&token, Token::LeftParen)
            && let Some((name, at)) = before.last()
            && word(name).as_deref() == Some("eval")
        {
            scan.roles.insert(*at, Role::Eval);
        }
        if let Some((Token::Underscore, at)) = before.last()
            && !matches!(token, Token::DoubleArrow | Token::If)
        {
            scan.roles.insert(*at, Role::Last);
        }
        before.push((token, here));
    }
    if let Some((Token::Underscore, at)) = before.last() {
        scan.roles.insert(*at, Role::Last);
    }

    // an error in the text is for its parser to find
    if lost {
        brackets.clear();
        scan.inside = None;
    }
    scan.unclosed = brackets.len() + usize::from(scan.inside.is_some());
    scan.dangling = !lost && before.last().is_some_and(|(token, _)| asks_for_more(token));
    for (bracket, place) in brackets {
        if !matches!(bracket, Bracket::Closure) {
            scan.brackets.push(place);
        }
        if let Bracket::Call(mut open) = bracket {
            open.site.arguments.extend(open.current.take());
            scan.open.push(open.site);
        }
    }
    scan
}

/// `(` opens a call if a name stands before it and no `fn` before that.
fn open_bracket(before: &[(Token, Place)]) -> Bracket {
    let mut back = before.iter().rev();
    let Some((mut token, mut at)) = back.next().map(|(token, at)| (token, *at)) else { return Bracket::Other };
    if matches!(token, Token::Bang) {
        let Some(next) = back.next() else { return Bracket::Other };
        (token, at) = (&next.0, next.1);
    }
    let Some(name) = word(token) else { return Bracket::Other };
    let previous = back.next().map(|(token, _)| token);
    if matches!(previous, Some(Token::Fn)) {
        return Bracket::Other;
    }
    let method = matches!(previous, Some(Token::Period | Token::Elvis));
    Bracket::Call(Open {
        site: CallSite { name, place: at, method, arguments: Vec::new() },
        comma: None,
        current: None,
        keywords: false,
        closure: Body::None,
    })
}

/// Remembers where the argument that this token opens starts.
fn start_argument(bracket: Option<&mut Bracket>, token: &Token, here: Place) {
    if let Some(Bracket::Call(open)) = bracket
        && open.current.is_none()
        && !matches!(token, Token::RightParen | Token::Comma)
    {
        open.current = Some(Argument { keyword: None, start: here, value: here, end: here });
    } else if let Some(Bracket::Call(open)) = bracket
        && let Some(current) = &mut open.current
        && current.value == (0, 0)
    {
        current.value = here;
    }
}

/// A comma or parenthesis at `here` ends the argument being read.
fn finish_argument(open: &mut Open, here: Place, scan: &mut Scan) {
    let Some(mut argument) = open.current.take() else { return };
    argument.end = here;
    if argument.keyword.is_none() && open.keywords {
        fault(
            scan,
            argument.start,
            format!("{}: a positional argument stands behind a keyword argument", open.site.name),
            "put it in front, or give it a name".into(),
        );
    }
    open.site.arguments.push(argument);
}

/// An `=` directly behind `(name` or `, name` of a call makes a keyword argument.
fn keyword(open: &mut Open, before: &[(Token, Place)], here: Place, scan: &mut Scan) {
    let [.., (separator, _), (name, name_place)] = before else { return };
    let Some(name) = word(name) else { return };
    if !matches!(separator, Token::LeftParen | Token::Comma) {
        return;
    }
    let Some(current) = &mut open.current else { return };
    if open.site.keyword(&name).is_some() {
        fault(
            scan,
            *name_place,
            format!("{}: the argument `{name}` is given twice", open.site.name),
            "keep one of them".into(),
        );
    }
    scan.roles.insert(*name_place, Role::Name);
    scan.roles.insert(here, Role::Equals);
    current.keyword = Some(name);
    current.value = (0, 0);
    if let Some(comma) = open.comma
        && open.keywords
    {
        scan.roles.insert(comma, Role::Comma);
        if let Body::Bare(place) = open.closure {
            fault(
                scan,
                place,
                "the body of this closure would run on into the next argument".into(),
                "put it in braces: |x| { … }".into(),
            );
        }
    }
    open.keywords = true;
    open.closure = Body::None;
}

/// Behind a closure's parameters, in the value of a keyword argument, comes its body.
fn expect_body(bracket: Option<&mut Bracket>) {
    if let Some(Bracket::Call(open)) = bracket
        && open.current.as_ref().is_some_and(|argument| argument.keyword.is_some())
    {
        open.closure = Body::Expected;
    }
}

/// Decides at the first token of a body whether it stands in braces, and at the token behind its
/// closing brace whether it ended there.
fn note_closure_body(bracket: Option<&mut Bracket>, token: &Token, last: Option<&Token>, here: Place) {
    let Some(Bracket::Call(open)) = bracket else { return };
    open.closure = match open.closure {
        Body::Expected if matches!(token, Token::LeftBrace) => Body::Braced,
        Body::Expected => Body::Bare(here),
        Body::Braced
            if matches!(last, Some(Token::RightBrace)) && !matches!(token, Token::Comma | Token::RightParen) =>
        {
            Body::Bare(here)
        }
        other => other,
    };
}

fn fault(scan: &mut Scan, place: Place, message: String, hint: String) {
    scan.fault.get_or_insert(Fault { place, message, hint });
}
