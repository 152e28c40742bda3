//! Pages: single HTML files that hold their data and load nothing.
//!
//! All text is escaped, and what is in a script's data as well: no text can end a block or begin one. What a page may load or
//! send is nothing, which it tells the browser.

mod attention;
mod explanation;
mod senses;

pub use attention::attention;
pub use explanation::explanation;
pub use senses::senses;

use std::fmt::Write;

use serde::Serialize;

use crate::markup::escaped;

/// A number with its sign, of which zero has none, and four decimals.
fn signed(number: f64) -> String {
    let text = format!("{number:+.4}");
    if text[1..] == *"0.0000" { text[1..].to_owned() } else { text }
}

/// JSON for a block of a page: the same value, without a `<` that could end the block.
fn json(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("records of numbers and texts are JSON");
    // Outside of strings, JSON has none of these chars.
    let text = text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    text.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// What a page consists of.
struct Page<'a> {
    title: &'a str,
    /// HTML.
    body: &'a str,
    /// The answer itself, as `--json` gives it or as the script needs it.
    data: &'a str,
    /// More data, each with its id; of chars that need no escape.
    blobs: Vec<(String, String)>,
    script: &'a str,
}

impl Page<'_> {
    fn to_html(&self) -> String {
        let Self { title, body, data, blobs, script } = self;
        let title = escaped(title);
        let style = include_str!("page.css");
        let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";
        let mut html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
             <title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n{body}</main>\n\
             <script type=\"application/json\" id=\"data\">{data}</script>\n"
        );
        for (id, blob) in blobs {
            let _ = writeln!(html, "<script type=\"text/plain\" id=\"{id}\">{blob}</script>");
        }
        if !script.is_empty() {
            let _ = writeln!(html, "<script>\n{script}</script>");
        }
        html.push_str("</body>\n</html>\n");
        html
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_has_no_sign() {
        assert_eq!(
            [-0.00001, 0.0, 0.00004, -0.5, 1.25].map(signed),
            ["0.0000", "0.0000", "0.0000", "-0.5000", "+1.2500"]
        );
    }

    #[test]
    fn no_text_gets_out_of_its_place() {
        let text = "</script><b>&\"'\0\u{202e}<!-- 🍋";
        assert_eq!(escaped(text), "&lt;/script&gt;&lt;b&gt;&amp;&quot;&#39;␀\u{fffd}&lt;!-- 🍋");
        let json = json(&text);
        assert!(!json.contains(['<', '>', '&', '\0']), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        let page = Page { title: text, body: "", data: &json, blobs: vec![], script: "" }.to_html();
        assert_eq!(page.matches("</script>").count(), 1);
        assert!(!page.contains("<b>"));
    }
}
