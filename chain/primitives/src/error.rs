//! Errors as people read them.

use std::error::Error;

/// An error and its causes in one line. A cause that the text before it names already is left out.
///
/// For where the line ends up with people: a log, an event, an answer. Errors keep their causes until
/// then.
pub fn chain_of(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Self>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as &(dyn Error + 'static))
        }
    }

    #[test]
    fn causes_follow_each_other_and_none_is_told_twice() {
        let root = Layer("connection refused", None);
        let middle = Layer("failed to connect: connection refused", Some(Box::new(root)));
        let top = Layer("the vault can't be reached", Some(Box::new(middle)));
        let text = "the vault can't be reached: failed to connect: connection refused";
        assert_eq!(chain_of(&top), text);
        assert_eq!(chain_of(&Layer("alone", None)), "alone");
    }
}
