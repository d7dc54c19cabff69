//! A value in several formats at once.

use serde_json::{Map, Value, json};

/// One thing to show, in as many formats as the interpreter can make: the front end picks the richest it can draw.
///
/// `data` maps a MIME type to its content: text for `text/*` and `image/svg+xml`, base64 for binary formats such as
/// `image/png`, a JSON value for `application/json`. `text/plain` should always be there. `metadata` holds what a
/// front end may want to know besides: keys of its own, or per MIME type (`{"image/png": {"width": 640}}`).
///
/// ```
/// use percept_kernel::MimeBundle;
///
/// let shown = MimeBundle::text("a red pixel").with("text/html", "<b>a red pixel</b>").with_bytes("image/png", b"...");
/// assert_eq!(shown.data["image/png"], "Li4u");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MimeBundle {
    /// MIME type to content.
    pub data: Map<String, Value>,
    /// What goes with it; may be empty.
    pub metadata: Map<String, Value>,
}

impl MimeBundle {
    /// A bundle that is only `text/plain`.
    pub fn text(text: impl Into<String>) -> Self {
        Self::default().with("text/plain", text.into())
    }

    /// Adds one format, replacing what stood there for that MIME type.
    #[must_use]
    pub fn with(mut self, mime: impl Into<String>, content: impl Into<Value>) -> Self {
        self.data.insert(mime.into(), content.into());
        self
    }

    /// Adds one binary format, base64-encoded as the protocol wants it.
    #[must_use]
    pub fn with_bytes(self, mime: impl Into<String>, bytes: &[u8]) -> Self {
        self.with(mime, data_encoding::BASE64.encode(bytes))
    }

    /// Adds one metadata entry.
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// The `text/plain` format, or nothing.
    pub fn plain(&self) -> &str {
        self.data.get("text/plain").and_then(Value::as_str).unwrap_or_default()
    }

    /// Roughly how many bytes this takes on the wire.
    pub(crate) fn weight(&self) -> usize {
        fn of(value: &Value) -> usize {
            match value {
                Value::String(text) => text.len(),
                Value::Array(items) => items.iter().map(of).sum::<usize>() + items.len(),
                Value::Object(map) => map.iter().map(|(key, value)| key.len() + of(value)).sum(),
                _ => 8,
            }
        }
        self.data.values().chain(self.metadata.values()).map(of).sum()
    }

    /// The `data` and `metadata` members of a message.
    pub(crate) fn into_content(self) -> Map<String, Value> {
        let mut content = Map::new();
        content.insert("data".into(), Value::Object(self.data));
        content.insert("metadata".into(), Value::Object(self.metadata));
        content
    }

    /// The members of a display message; `id` names the display so that later messages can replace it.
    pub(crate) fn into_display(self, id: Option<&str>) -> Value {
        let mut content = self.into_content();
        content.insert("transient".into(), id.map_or_else(|| json!({}), |id| json!({ "display_id": id })));
        Value::Object(content)
    }
}

impl From<Map<String, Value>> for MimeBundle {
    fn from(data: Map<String, Value>) -> Self {
        Self { data, metadata: Map::new() }
    }
}
