//! The cells of this session: what was typed, what came out.

use serde_json::{Value, json};

/// Everything run with `store_history`, in order; entry `i` is line `i + 1`.
#[derive(Default)]
pub(crate) struct History {
    entries: Vec<Entry>,
}

struct Entry {
    input: String,
    output: String,
}

/// Histories of earlier sessions are not kept, so there is only one number.
const SESSION: i64 = 1;

impl History {
    pub(crate) fn push(&mut self, input: &str, output: &str) {
        self.entries.push(Entry { input: input.to_owned(), output: output.to_owned() });
    }

    /// Answers a `history_request`: the content of the reply's `history`.
    pub(crate) fn answer(&self, request: &Value) -> Value {
        let with_output = request["output"].as_bool().unwrap_or(false);
        let lines = match request["hist_access_type"].as_str() {
            Some("range") => self.range(request),
            Some("search") => self.search(request),
            _ => self.tail(request["n"].as_u64()),
        };
        lines.into_iter().map(|line| self.show(line, with_output)).collect()
    }

    /// The last `n` lines, oldest first; all of them without `n`.
    fn tail(&self, n: Option<u64>) -> Vec<usize> {
        last((0..self.entries.len()).collect(), n)
    }

    /// Lines `start..stop` of a session. As in IPython, session 0 is this one and negative numbers count back from
    /// it: line numbers start at 1, and a `stop` that is missing or negative means the end.
    fn range(&self, request: &Value) -> Vec<usize> {
        let session = request["session"].as_i64().unwrap_or(0);
        if session != 0 && session != SESSION {
            return Vec::new();
        }
        let count = self.entries.len();
        let line = |value: &Value| value.as_i64().and_then(|line| usize::try_from(line).ok());
        let start = line(&request["start"]).unwrap_or(1).max(1) - 1;
        let stop = line(&request["stop"]).map_or(count, |stop| stop.saturating_sub(1)).min(count);
        (start..stop).collect()
    }

    /// The last `n` lines that match a glob; with `unique` each text once, at its latest line.
    fn search(&self, request: &Value) -> Vec<usize> {
        let pattern: Vec<char> = request["pattern"].as_str().unwrap_or("*").chars().collect();
        let unique = request["unique"].as_bool().unwrap_or(false);
        let matches = |line: &usize| {
            let input = &self.entries[*line].input;
            let repeated = || self.entries[*line + 1..].iter().any(|later| later.input == *input);
            glob(&pattern, &input.chars().collect::<Vec<_>>()) && !(unique && repeated())
        };
        last((0..self.entries.len()).filter(matches).collect(), request["n"].as_u64())
    }

    fn show(&self, line: usize, with_output: bool) -> Value {
        let Entry { input, output } = &self.entries[line];
        let output = (!output.is_empty()).then_some(output);
        if with_output { json!([SESSION, line + 1, [input, output]]) } else { json!([SESSION, line + 1, input]) }
    }
}

fn last(mut lines: Vec<usize>, n: Option<u64>) -> Vec<usize> {
    let n = n.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    lines.split_off(lines.len().saturating_sub(n))
}

/// Whether the whole of `text` matches `pattern`, where `*` is anything and `?` any one character. Linear in space
/// and at worst quadratic in time: on a mismatch only the latest `*` needs to take one character more.
fn glob(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (p, t) = (at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> History {
        let mut history = History::default();
        for input in ["a = 1", "b = 2", "a", "a", "größe"] {
            history.push(input, if input == "a" { "1" } else { "" });
        }
        history
    }

    #[test]
    fn tail_gives_the_last_lines_oldest_first() {
        let answer = history().answer(&json!({"hist_access_type": "tail", "n": 2, "output": true}));
        assert_eq!(answer, json!([[1, 4, ["a", "1"]], [1, 5, ["größe", null]]]));
        assert_eq!(history().answer(&json!({"hist_access_type": "tail", "n": 0})), json!([]));
    }

    #[test]
    fn range_counts_lines_from_one_and_excludes_stop() {
        let ask = |content: Value| history().answer(&content);
        let range = json!({"hist_access_type": "range", "session": 1, "start": 2, "stop": 4});
        assert_eq!(ask(range), json!([[1, 2, "b = 2"], [1, 3, "a"]]));
        let open = json!({"hist_access_type": "range", "session": 0, "start": 5});
        assert_eq!(ask(open), json!([[1, 5, "größe"]]));
        let backwards = json!({"hist_access_type": "range", "start": 4, "stop": 2});
        assert_eq!(ask(backwards), json!([]));
        let earlier = json!({"hist_access_type": "range", "session": -1, "start": 1, "stop": 9});
        assert_eq!(ask(earlier), json!([]));
    }

    #[test]
    fn search_is_a_glob_over_whole_lines() {
        let ask = |content: Value| history().answer(&content);
        assert_eq!(
            ask(json!({"hist_access_type": "search", "pattern": "? = *"})),
            json!([[1, 1, "a = 1"], [1, 2, "b = 2"]])
        );
        assert_eq!(ask(json!({"hist_access_type": "search", "pattern": "a", "unique": true})), json!([[1, 4, "a"]]));
        assert_eq!(ask(json!({"hist_access_type": "search", "pattern": "a*", "n": 1})), json!([[1, 4, "a"]]));
        assert_eq!(ask(json!({"hist_access_type": "search", "pattern": "gr*ß?"})), json!([[1, 5, "größe"]]));
        assert_eq!(ask(json!({"hist_access_type": "search", "pattern": "b"})), json!([]));
    }
}
