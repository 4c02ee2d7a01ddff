//! What is tried again and again, and whose failing is said once.

/// Whether the last try failed.
#[derive(Debug, Default)]
pub(crate) struct Failing(bool);

impl Failing {
    /// The error of a try, if it is the first since one that worked.
    pub(crate) fn first<E>(&mut self, tried: Result<(), E>) -> Option<E> {
        let before = std::mem::replace(&mut self.0, tried.is_err());
        tried.err().filter(|_| !before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_said_once_until_it_works_again() {
        let mut failing = Failing::default();
        let said = [Err(1), Err(2), Ok(()), Ok(()), Err(3)].map(|tried| failing.first(tried));
        assert_eq!(said, [Some(1), None, None, None, Some(3)]);
    }
}
