//! Patterns with `*` (any run of characters, which may be empty) and `?` (exactly one character), anchored at both
//! ends. There is no escape character.
//!
//! INVARIANT: matching never takes more than time linear in the text. A pattern is split at its stars. The first and
//! the last piece are compared in place; a piece between two stars is searched leftmost-first, which is always right
//! because a piece has a fixed number of characters. Short pieces are searched naively (their length bounds the work
//! for each character), longer ones with a bit-parallel automaton. Nothing is tried twice, and there is no recursion
//! and no allocation. The steps are counted ([`work`]), and the tests and the fuzzer check that they stay within a
//! bound.

use crate::memory::{Held, boxed, flat};
use crate::work;

/// Pieces of up to this many bytes are searched naively.
const NAIVE_PIECE_BYTES: usize = 16;

/// Patterns longer than this many bytes are never compiled: the largest document has 6,144 characters of at most 4
/// bytes.
pub(crate) const MAX_PATTERN_BYTES: usize = 6_144 * 4;

const MAX_WORDS: usize = MAX_PATTERN_BYTES / 64;

/// Whether letters are compared without regard to case (ASCII only).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LetterCase {
    Exact,
    Folded,
}

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Glob {
    /// The pattern, in lower case if letters are folded.
    source: Box<str>,
    folded: bool,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    /// `*`
    Any,
    /// No wildcard at all.
    Literal,
    /// `text*`
    Prefix(usize),
    /// At least one `?`, no `*`.
    Fixed(Box<Piece>),
    /// At least one star, and not of the form `text*`.
    Starred(Box<Starred>),
}

/// The pieces before the first star, between stars, and after the last star.
#[derive(Debug)]
struct Starred {
    head: Piece,
    middle: Box<[Piece]>,
    tail: Piece,
}

impl Glob {
    /// # Panics
    /// Never in this crate: callers refuse patterns longer than [`MAX_PATTERN_BYTES`] first.
    pub(crate) fn new(pattern: &str, letters: LetterCase) -> Self {
        assert!(pattern.len() <= MAX_PATTERN_BYTES, "patterns are limited where they are read");
        let folded = letters == LetterCase::Folded;
        let source: Box<str> =
            if folded { pattern.to_ascii_lowercase().into_boxed_str() } else { Box::from(pattern) };
        let shape = Self::shape(&source, folded);
        Self { source, folded, shape }
    }

    fn shape(source: &str, folded: bool) -> Shape {
        let Some((head, rest)) = source.split_once('*') else {
            return if source.contains('?') {
                Shape::Fixed(Box::new(Piece::new(source, folded)))
            } else {
                Shape::Literal
            };
        };
        if rest.bytes().all(|byte| byte == b'*') && !head.contains('?') {
            return if head.is_empty() { Shape::Any } else { Shape::Prefix(head.len()) };
        }
        let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
        Shape::Starred(Box::new(Starred {
            head: Piece::new(head, folded),
            middle: middle.split('*').filter(|m| !m.is_empty()).map(|m| Piece::new(m, folded)).collect(),
            tail: Piece::new(tail, folded),
        }))
    }

    /// The pattern as compiled.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// The only text that this pattern matches, if it has no wildcard.
    pub(crate) fn literal(&self) -> Option<&str> {
        matches!(self.shape, Shape::Literal).then_some(&*self.source)
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        match &self.shape {
            Shape::Any => true,
            Shape::Literal => equal(self.source.as_bytes(), bytes, self.folded),
            Shape::Prefix(length) => bytes
                .get(..*length)
                .is_some_and(|start| equal(&self.source.as_bytes()[..*length], start, self.folded)),
            Shape::Fixed(piece) => piece.match_from(bytes, 0) == Some(bytes.len()),
            Shape::Starred(starred) => starred.matches(bytes),
        }
    }

    /// Whether some text matches both patterns. Exact, but quadratic in the lengths of the patterns, so decisions do
    /// not use it.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let (left, right): (Vec<char>, Vec<char>) =
            (self.source.chars().collect(), other.source.chars().collect());
        // reached[j]: some text matches both the first i characters of `left` and the first j of `right`.
        let mut reached = vec![false; right.len() + 1];
        reached[0] = true;
        for i in 0..=left.len() {
            let mut next = vec![false; right.len() + 1];
            for j in 0..=right.len() {
                if !reached[j] {
                    continue;
                }
                let (l, r) = (left.get(i), right.get(j));
                if l == Some(&'*') {
                    next[j] = true;
                    if j < right.len() {
                        reached[j + 1] = true;
                    }
                }
                if r == Some(&'*') {
                    reached[j + 1] = true;
                    if i < left.len() {
                        next[j] = true;
                    }
                }
                if let (Some(l), Some(r)) = (l, r)
                    && *l != '*'
                    && *r != '*'
                    && (l == r || *l == '?' || *r == '?')
                {
                    next[j + 1] = true;
                }
            }
            if i == left.len() {
                return reached[right.len()];
            }
            reached = next;
        }
        false
    }

    /// Whether this pattern matches every text that `other` matches. `true` is proven; `false` may also mean "not
    /// known".
    pub(crate) fn covers(&self, other: &Self) -> bool {
        // If the pattern has no `?`, only a star in it can match the stars and question marks of `other`, read as
        // ordinary characters. A star matches whatever they represent, too.
        !self.source.contains('?') && self.matches(other.source())
    }
}

impl Starred {
    fn matches(&self, text: &[u8]) -> bool {
        let Some(mut from) = self.head.match_from(text, 0) else { return false };
        let Some(until) = self.tail.match_back(text) else { return false };
        if from > until {
            return false;
        }
        for piece in &self.middle {
            match piece.find(&text[..until], from) {
                Some(end) => from = end,
                None => return false,
            }
        }
        true
    }
}

/// A run of the pattern without stars; a `?` matches one character.
#[derive(Debug)]
struct Piece {
    bytes: Box<[u8]>,
    plain: bool,
    folded: bool,
    automaton: Option<Box<Automaton>>,
}

impl Piece {
    fn new(text: &str, folded: bool) -> Self {
        let bytes: Box<[u8]> = text.as_bytes().into();
        let automaton = (bytes.len() > NAIVE_PIECE_BYTES).then(|| Box::new(Automaton::new(&bytes, folded)));
        Self { plain: !bytes.contains(&b'?'), bytes, folded, automaton }
    }

    /// Matches at `from`, which is a character boundary; returns where the match ends.
    fn match_from(&self, text: &[u8], from: usize) -> Option<usize> {
        if self.plain {
            work::add(self.bytes.len());
            let end = from + self.bytes.len();
            return text.get(from..end).filter(|run| equal(&self.bytes, run, self.folded)).map(|_| end);
        }
        let mut at = from;
        for wanted in &self.bytes {
            work::add(1);
            let found = *text.get(at)?;
            at += 1;
            if *wanted == b'?' {
                while text.get(at).copied().is_some_and(is_continuation) {
                    work::add(1);
                    at += 1;
                }
            } else if fold(found, self.folded) != *wanted {
                return None;
            }
        }
        Some(at)
    }

    /// Matches the end of `text`; returns where the match begins.
    fn match_back(&self, text: &[u8]) -> Option<usize> {
        if self.plain {
            work::add(self.bytes.len());
            let start = text.len().checked_sub(self.bytes.len())?;
            return equal(&self.bytes, &text[start..], self.folded).then_some(start);
        }
        let mut at = text.len();
        for wanted in self.bytes.iter().rev() {
            work::add(1);
            at = at.checked_sub(1)?;
            if *wanted == b'?' {
                while is_continuation(text[at]) {
                    work::add(1);
                    at = at.checked_sub(1)?;
                }
            } else if fold(text[at], self.folded) != *wanted {
                return None;
            }
        }
        Some(at)
    }

    /// The leftmost match that begins at or after `from`; returns where it ends.
    fn find(&self, text: &[u8], from: usize) -> Option<usize> {
        if let Some(automaton) = &self.automaton {
            return automaton.find(text, from);
        }
        (from..text.len())
            .inspect(|_| work::add(1))
            .filter(|start| !is_continuation(text[*start]))
            .find_map(|start| self.match_from(text, start))
    }
}

/// Shift-and: one bit for each byte of the piece says whether the text read so far ends with the piece up to that
/// byte.
#[derive(Debug)]
struct Automaton {
    words: usize,
    /// For each of the 256 bytes, the positions at which it may occur.
    positions: Box<[u64]>,
    /// The positions of `?`, which stay satisfied during the continuation bytes of their character.
    question_marks: Box<[u64]>,
    last: usize,
}

impl Automaton {
    fn new(piece: &[u8], folded: bool) -> Self {
        let words = piece.len().div_ceil(64);
        let mut positions = vec![0u64; 256 * words];
        let mut question_marks = vec![0u64; words];
        for (position, wanted) in piece.iter().enumerate() {
            let (word, bit) = (position / 64, 1u64 << (position % 64));
            if *wanted == b'?' {
                question_marks[word] |= bit;
                for byte in (0..=u8::MAX).filter(|byte| !is_continuation(*byte)) {
                    positions[usize::from(byte) * words + word] |= bit;
                }
            } else {
                positions[usize::from(*wanted) * words + word] |= bit;
                if folded {
                    positions[usize::from(wanted.to_ascii_uppercase()) * words + word] |= bit;
                }
            }
        }
        Self {
            words,
            positions: positions.into(),
            question_marks: question_marks.into(),
            last: piece.len() - 1,
        }
    }

    fn find(&self, text: &[u8], from: usize) -> Option<usize> {
        work::add(MAX_WORDS);
        let mut space = [0u64; MAX_WORDS];
        let state = &mut space[..self.words];
        let (last_word, last_bit) = (self.last / 64, 1u64 << (self.last % 64));
        for (at, byte) in text.iter().enumerate().skip(from) {
            work::add(self.words);
            let allowed = &self.positions[usize::from(*byte) * self.words..][..self.words];
            let held = if is_continuation(*byte) { u64::MAX } else { 0 };
            // A match can begin at any character. The first position requires a lead byte, so a match never begins
            // inside a character.
            let mut carry = 1;
            for (word, bits) in state.iter_mut().enumerate() {
                let before = *bits;
                *bits =
                    (((before << 1) | carry) & allowed[word]) | (before & self.question_marks[word] & held);
                carry = before >> 63;
            }
            if state[last_word] & last_bit != 0 {
                let rest = text[at + 1..].iter().take_while(|byte| is_continuation(**byte)).count();
                return Some(at + 1 + rest);
            }
        }
        None
    }
}

impl Held for Glob {
    fn held(&self) -> usize {
        let shape = match &self.shape {
            Shape::Any | Shape::Literal | Shape::Prefix(_) => 0,
            Shape::Fixed(piece) => boxed(&**piece),
            Shape::Starred(starred) => boxed(&**starred),
        };
        self.source.held() + shape
    }
}

impl Held for Starred {
    fn held(&self) -> usize {
        self.head.held() + self.middle.held() + self.tail.held()
    }
}

impl Held for Piece {
    fn held(&self) -> usize {
        flat(&self.bytes) + self.automaton.as_deref().map_or(0, boxed)
    }
}

impl Held for Automaton {
    fn held(&self) -> usize {
        flat(&self.positions) + flat(&self.question_marks)
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

fn fold(byte: u8, folded: bool) -> u8 {
    if folded { byte.to_ascii_lowercase() } else { byte }
}

/// `wanted` is in lower case already if letters are folded.
fn equal(wanted: &[u8], found: &[u8], folded: bool) -> bool {
    wanted == found || folded && wanted.eq_ignore_ascii_case(found)
}

/// The maximum number of steps to match the pattern against the text: for each byte of the text as many as the naive
/// search or the longest automaton needs, and for the pattern itself the start of each piece.
#[cfg(any(test, fuzzing))]
pub(crate) fn most_steps(pattern: &str, text: &str) -> u64 {
    let longest = pattern.split('*').map(str::len).max().unwrap_or(0);
    let each_byte =
        if longest > NAIVE_PIECE_BYTES { longest.div_ceil(64) } else { 0 } + NAIVE_PIECE_BYTES + 1;
    let begun = MAX_WORDS / NAIVE_PIECE_BYTES + 4;
    ((text.len() + 1) * each_byte + (pattern.len() + 1) * begun) as u64
}

#[cfg(test)]
mod tests;
