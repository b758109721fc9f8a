//! How much memory a compiled document takes, for those who keep many.

/// What an allocator keeps for itself with each allocation, roughly.
const FOR_EACH_ALLOCATION: usize = 16;

/// What a value holds on the heap, in bytes; not the value itself.
pub(crate) trait Held {
    fn held(&self) -> usize;
}

impl Held for str {
    fn held(&self) -> usize {
        self.len() + FOR_EACH_ALLOCATION
    }
}

impl Held for Box<str> {
    fn held(&self) -> usize {
        (**self).held()
    }
}

impl<T: Held> Held for [T] {
    fn held(&self) -> usize {
        flat(self) + self.iter().map(Held::held).sum::<usize>()
    }
}

impl<T: Held> Held for Option<T> {
    fn held(&self) -> usize {
        self.as_ref().map_or(0, Held::held)
    }
}

/// The heap of a list whose entries hold nothing.
pub(crate) fn flat<T>(list: &[T]) -> usize {
    size_of_val(list) + FOR_EACH_ALLOCATION
}

/// The heap of a box, with what its value holds.
pub(crate) fn boxed<T: Held>(value: &T) -> usize {
    size_of::<T>() + FOR_EACH_ALLOCATION + value.held()
}
