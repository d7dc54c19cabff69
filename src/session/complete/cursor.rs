//! What stands in front of the cursor: the tokens, the call that is open, and what is known of its arguments.

use crate::lang::{
    CallSite, Dynamic, Function, Interpreter, OtherArgument, Parameter, Scan, Span, Token, byte_at, functions,
    overloads, spans, type_name,
};

/// What is known of an expression without computing it.
#[derive(Clone, Debug)]
pub enum Known {
    /// Its value: it is a variable, or an entry of one.
    Value(Dynamic),
    /// The name of its type.
    Type(&'static str),
    /// Nothing.
    Nothing,
}

impl Known {
    /// The name of its type.
    pub fn kind(&self) -> Option<&'static str> {
        match self {
            Self::Value(value) => Some(type_name(value)),
            Self::Type(name) => Some(name),
            Self::Nothing => None,
        }
    }

    /// Does a function take it as its first argument, and not just anything?
    pub fn is_first_of(&self, function: &Function) -> bool {
        let is_first = function.positional().next().is_some_and(|first| {
            first.kind != "any value"
                && match self {
                    Self::Value(value) => (first.accepts)(value),
                    Self::Type(name) => first.types.contains(name),
                    Self::Nothing => true,
                }
        });
        is_first || self.leads(function)
    }

    /// Is it the value of a keyword argument that stands in front, as `m` in `m.classify(img)`?
    pub fn leads(&self, function: &Function) -> bool {
        match self {
            Self::Value(value) => function.leading(value).is_some(),
            Self::Type("string") | Self::Nothing => false,
            Self::Type(name) => {
                let is_first = function.positional().next().is_some_and(|first| first.types.contains(name));
                !is_first && function.keywords().any(|option| option.leading && option.types.contains(name))
            }
        }
    }
}

/// A text up to the cursor, as far as it can be understood.
pub struct Cursor<'a> {
    pub interpreter: &'a Interpreter,
    text: &'a str,
    scan: &'a Scan,
    spans: Vec<Span<'a>>,
}

/// The argument at the cursor: which one of which call.
pub struct Place<'a> {
    /// The call.
    pub site: &'a CallSite,
    /// The keyword, if it has one.
    pub keyword: Option<&'a str>,
    /// How many stand before it, the value in front of the dot among them.
    pub index: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(interpreter: &'a Interpreter, scan: &'a Scan, text: &'a str) -> Self {
        Self { interpreter, text, scan, spans: spans(scan, text) }
    }

    /// The token directly in front of the cursor, or in front of the string that the cursor is in.
    pub fn last(&self) -> Option<&'a Token> {
        self.spans.last().map(|span| span.token)
    }

    /// What is known of the value whose method or property is being named.
    pub fn receiver(&self) -> Known {
        self.known(self.spans.len().saturating_sub(1))
    }

    /// The argument that the cursor is in, if a call is open and the cursor directly in it or in a list in it.
    pub fn argument(&self) -> Option<Place<'a>> {
        let site = self.scan.open.last()?;
        let name = self.spans.iter().position(|span| span.place == site.place)?;
        let bracket = self.scan.brackets.last()?;
        let within = self.spans.iter().position(|span| span.place == *bracket)?;
        let directly =
            within == name + 1 || matches!(self.spans.get(name + 1).map(|span| span.token), Some(Token::Bang));
        if !directly && !matches!(self.spans[within].token, Token::LeftBracket) {
            return None;
        }
        // behind `(` or `,` a new argument begins
        let fresh = directly && matches!(self.last(), Some(Token::LeftParen | Token::Comma));
        let current = if fresh { None } else { site.arguments.last() };
        let before = site.arguments.len() - usize::from(current.is_some());
        Some(Place {
            site,
            keyword: current.and_then(|argument| argument.keyword.as_deref()),
            index: before + usize::from(site.method),
        })
    }

    /// The functions that a call could mean: those that fit what is known of its first argument, if any does.
    pub fn overloads(&self, site: &CallSite) -> Vec<&'static Function> {
        let all = overloads(&site.name);
        let first = self.first(site);
        let fitting: Vec<_> = all.iter().copied().filter(|function| first.is_first_of(function)).collect();
        if fitting.is_empty() || matches!(first, Known::Nothing) { all.to_vec() } else { fitting }
    }

    /// The parameters that the argument at the cursor could be for.
    pub fn parameters(&self, place: &Place<'_>) -> Vec<&'static Parameter> {
        let of = |function: &&'static Function| match place.keyword {
            Some(keyword) => function.parameters().find(|parameter| parameter.name == keyword),
            None => self.positional(function, place),
        };
        self.overloads(place.site).iter().filter_map(of).collect()
    }

    /// The parameter of a function that the argument at the cursor is for by its position.
    pub fn positional(&self, function: &Function, place: &Place<'_>) -> Option<&'static Parameter> {
        let leads = place.index > 0 && self.first(place.site).leads(function);
        function.positional().nth(place.index - usize::from(leads))
    }

    /// What is known of the other arguments of a call.
    pub fn others(&self, place: &Place<'_>) -> Vec<OtherArgument<'a>> {
        let mut others = Vec::new();
        let name = self.spans.iter().position(|span| span.place == place.site.place);
        if place.site.method
            && let Some(dot) = name.and_then(|name| name.checked_sub(1))
        {
            let start = self.start(dot);
            others.extend(self.spans.get(start).map(|first| self.other(first.range.start, dot)));
        }
        let count = place.index - usize::from(place.site.method);
        for argument in place.site.arguments.iter().take(count) {
            if let Some(end) = self.spans.iter().position(|span| span.place == argument.end) {
                others.push(self.other(byte_at(self.text, argument.value), end));
            }
        }
        others
    }

    fn other(&self, start: usize, end: usize) -> OtherArgument<'a> {
        let known = self.known(end);
        let stop = self.spans.get(end).map_or(self.text.len(), |span| span.range.start);
        let written = self.text.get(start..stop).unwrap_or_default();
        let kind = known.kind();
        OtherArgument { written, value: if let Known::Value(value) = known { Some(value) } else { None }, kind }
    }

    /// What is known of the first argument of a call.
    fn first(&self, site: &CallSite) -> Known {
        let Some(name) = self.spans.iter().position(|span| span.place == site.place) else { return Known::Nothing };
        if site.method {
            return name.checked_sub(1).map_or(Known::Nothing, |dot| self.known(dot));
        }
        match site.arguments.first() {
            Some(first) if first.keyword.is_none() => self
                .spans
                .iter()
                .position(|span| span.place == first.end && first.end != first.start)
                .map_or(Known::Nothing, |end| self.known(end)),
            _ => Known::Nothing,
        }
    }

    /// What is known of the expression that ends in front of the token `end`.
    fn known(&self, end: usize) -> Known {
        let Some(last) = end.checked_sub(1) else { return Known::Nothing };
        match self.spans[last].token {
            Token::StringConstant(_) => Known::Type("string"),
            Token::CharConstant(_) => Known::Type("character"),
            Token::IntegerConstant(_) => Known::Type("integer"),
            Token::FloatConstant(_) => Known::Type("number"),
            Token::True | Token::False => Known::Type("boolean"),
            Token::RightParen | Token::Unit => self.known_call(last),
            Token::RightBracket => self.known_entry(last),
            Token::RightBrace if matches!(self.opening(last).map(|at| self.spans[at].token), Some(Token::MapStart)) => {
                Known::Type("map")
            }
            _ => self.name(last).map_or(Known::Nothing, |name| match self.dot(last) {
                Some(dot) => self.property(&self.known(dot), &name),
                None => self.variable(&name, last),
            }),
        }
    }

    /// A variable of the session, or of a `let` that stands in the text before.
    fn variable(&self, name: &str, before: usize) -> Known {
        let bound = (0..before.saturating_sub(2)).rev().find(|at| {
            matches!(self.spans[*at].token, Token::Let | Token::Const)
                && self.name(at + 1).as_deref() == Some(name)
                && matches!(self.spans[at + 2].token, Token::Equals)
        });
        let end = bound.and_then(|at| (at..before).find(|at| matches!(self.spans[*at].token, Token::SemiColon)));
        match end {
            Some(end) => self.known(end),
            None => self.interpreter.get(name).map_or(Known::Nothing, Known::Value),
        }
    }

    fn property(&self, of: &Known, name: &str) -> Known {
        if let Known::Value(value) = of
            && let Some(map) = value.read_lock::<rhai::Map>()
        {
            return map.get(name).map_or(Known::Nothing, |entry| Known::Value(entry.clone()));
        }
        self.returned(name, of, true)
    }

    /// What a call returns, or what stands in parentheses.
    fn known_call(&self, close: usize) -> Known {
        let Some(open) = self.opening(close) else { return Known::Nothing };
        let callee = match open.checked_sub(1) {
            Some(bang) if matches!(self.spans[bang].token, Token::Bang) => bang.checked_sub(1),
            callee => callee,
        };
        let Some((callee, name)) = callee.and_then(|at| Some((at, self.name(at)?))) else {
            return if open == close { Known::Nothing } else { self.known(close) };
        };
        let first = match self.dot(callee) {
            Some(dot) => self.known(dot),
            None => self.scan.calls.get(&self.spans[callee].place).map_or(Known::Nothing, |site| self.first(site)),
        };
        self.returned(&name, &first, self.dot(callee).is_some())
    }

    /// What a function returns, if all that fit its first argument return the same.
    fn returned(&self, name: &str, first: &Known, method: bool) -> Known {
        let mut types: Vec<&'static str> = if overloads(name).is_empty() {
            let natives = self.interpreter.natives().iter().filter(|native| native.name == name);
            natives
                .filter(|native| !method || native.first == first.kind())
                .filter_map(|native| native.returns)
                .collect()
        } else {
            let fitting = overloads(name).iter().filter(|function| {
                first.is_first_of(function)
                    || function.positional().next().is_none_or(|first| first.kind == "any value")
            });
            fitting.map(|function| function.returns).collect()
        };
        types.dedup();
        match types.as_slice() {
            [one] if *one != "value" => Known::Type(one),
            _ => Known::Nothing,
        }
    }

    /// `list[2]`, or a list.
    fn known_entry(&self, close: usize) -> Known {
        let Some(open) = self.opening(close) else { return Known::Nothing };
        let indexed = open.checked_sub(1).filter(|at| {
            let token = self.spans[*at].token;
            self.name(*at).is_some() || matches!(token, Token::RightParen | Token::Unit | Token::RightBracket)
        });
        if indexed.is_none() {
            return Known::Type("list");
        }
        match (self.known(open), self.spans.get(open + 1..close)) {
            (Known::Value(value), Some([Span { token: Token::IntegerConstant(index), .. }])) => {
                let list = value.read_lock::<rhai::Array>();
                let entry = list.and_then(|list| list.get(usize::try_from(*index).ok()?).cloned());
                entry.map_or(Known::Nothing, |entry| Known::Value(entry.flatten()))
            }
            _ => Known::Nothing,
        }
    }

    /// The first token of the expression that ends in front of the token `end`: of its chain of calls and properties.
    fn start(&self, end: usize) -> usize {
        let mut at = end;
        loop {
            let Some(last) = at.checked_sub(1) else { return at };
            let closes = matches!(
                self.spans[last].token,
                Token::RightParen | Token::Unit | Token::RightBracket | Token::RightBrace
            );
            at = if closes { self.opening(last).unwrap_or(last) } else { last };
            let before = at.checked_sub(1);
            match before {
                Some(before) if closes && (self.name(before).is_some()) => at = before,
                Some(before)
                    if closes && matches!(self.spans[before].token, Token::RightParen | Token::RightBracket) =>
                {
                    continue;
                }
                _ => {}
            }
            match self.dot(at) {
                Some(dot) => at = dot,
                None => return at,
            }
        }
    }

    /// The dot in front of a token.
    fn dot(&self, at: usize) -> Option<usize> {
        let before = at.checked_sub(1)?;
        matches!(self.spans[before].token, Token::Period | Token::Elvis).then_some(before)
    }

    fn name(&self, at: usize) -> Option<String> {
        match self.spans.get(at)?.token {
            Token::Identifier(name) => Some(name.to_string()),
            Token::Reserved(name) => Some(name.to_string()),
            Token::Underscore => Some("_".into()),
            _ => None,
        }
    }

    /// The bracket that belongs to a closing one; `()` is both.
    fn opening(&self, close: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for at in (0..=close).rev() {
            match self.spans[at].token {
                Token::Unit if at == close => return Some(at),
                Token::RightParen | Token::RightBracket | Token::RightBrace => depth += 1,
                Token::LeftParen | Token::LeftBracket | Token::QuestionBracket | Token::LeftBrace | Token::MapStart => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(at);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// The names that the text binds before the cursor, which the session need not know yet.
    pub fn bound(&self) -> Vec<String> {
        let binds = |at: &usize| {
            matches!(self.spans[*at].token, Token::Let | Token::Const | Token::For | Token::Fn | Token::As)
        };
        // the last name may be the one that is being typed
        let ends = self.spans.len().saturating_sub(1);
        let mut names: Vec<String> = (0..ends).filter(binds).filter_map(|at| self.name(at + 1)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The functions of the language that can be called on a value.
    pub fn methods(&self, value: &Known) -> Vec<(&'static str, &'static Function)> {
        let fitting =
            |overloads: &'static [&'static Function]| overloads.iter().find(|b| value.is_first_of(b)).copied();
        functions().filter_map(|(name, overloads)| Some((name, fitting(overloads)?))).collect()
    }
}
