//! What a buffered source has ready.

use std::io::{self, BufRead, BufReader};

use bert_tasks::data::Source;

use crate::error::{Error, Result};

/// What is in the buffer, after a read if it was empty; nothing at the end of the source. `name` is for messages.
///
/// # Errors
/// A source that cannot be read.
pub fn fill<'a>(source: &'a mut BufReader<Source>, name: &str) -> Result<&'a [u8]> {
    loop {
        match source.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::Read { name: name.to_owned(), source }),
            // What it returned is borrowed for too long to be returned from a loop.
            Ok(_) => return Ok(source.buffer()),
        }
    }
}
