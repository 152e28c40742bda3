//! The end of an iteration over a file.

use super::error::Result;

/// The next item of a reader, which is let go at the end of the file or at the first error, so that nothing follows.
pub(super) fn next_until_error<R, T>(
    reader: &mut Option<R>,
    read: impl FnOnce(&mut R) -> Result<Option<T>>,
) -> Option<Result<T>> {
    let item = read(reader.as_mut()?).transpose();
    if !matches!(item, Some(Ok(_))) {
        *reader = None;
    }
    item
}

#[cfg(test)]
mod tests {
    use super::super::DataError;
    use super::*;

    #[test]
    fn nothing_follows_an_error_or_the_end() {
        let wrong = || DataError::LabelSet { found: "it is empty".to_owned() };
        let mut reader = Some(vec![Ok(Some(2)), Err(wrong()), Ok(Some(1))].into_iter());
        let mut next =
            || next_until_error(&mut reader, |items| items.next().expect("asked on after an error"));
        assert!(matches!(next(), Some(Ok(2))));
        assert!(matches!(next(), Some(Err(_))));
        assert!(next().is_none() && next().is_none());
        let mut reader = Some([Ok(None), Ok(Some(1))].into_iter());
        assert!(
            next_until_error(&mut reader, |items| items.next().expect("asked on after the end")).is_none()
        );
        assert!(reader.is_none());
    }
}
