// SPDX-License-Identifier: MIT OR Apache-2.0
//! Slots of a model (`--cfg loom`): values of their own.
#![forbid(unsafe_code)]

use super::segment::Shared;
use crate::error::Result;
use std::fmt;
use std::ops::Deref;

pub(crate) struct Slot<T: Shared>(T);

impl<T: Shared> Slot<T> {
    pub(crate) fn new(_operation: &'static str, fill: impl FnOnce(&T)) -> Result<Self> {
        let value = T::default();
        fill(&value);
        Ok(Self(value))
    }

    pub(crate) fn with_more(_more: usize, operation: &'static str, fill: impl FnOnce(&T)) -> Result<Self> {
        Self::new(operation, fill)
    }

    pub(crate) fn behind<U: Shared>(&self, _place: usize) -> Option<&U> {
        None
    }
}

impl<T: Shared> Deref for Slot<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Shared> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::NAME)
    }
}

/// As without a model.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a>(std::marker::PhantomData<&'a ()>);

/// As without a model.
#[derive(Clone, Copy, Debug)]
pub enum Memory<'a> {
    /// As without a model.
    Known(&'a ()),
}
