//! A program of a saved list, of rpm or pm2, and the faults of such a list.

use std::rc::Rc;

use super::json::Member;
use crate::model::life::Want;
use crate::model::spec::{Spec, name_of};

/// A program of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Its settings.
    pub spec: Rc<Spec>,
    /// Its number among its instances, from 0.
    pub instance: u32,
    /// Its desired state.
    pub want: Want,
}

/// An offset in the text and what is wrong there.
pub type Fault = (usize, String);

/// The assignment `NAME=value` of a member.
///
/// # Errors
///
/// It cannot be a variable.
pub fn assignment(member: &Member, value: &[u8]) -> std::result::Result<Vec<u8>, Fault> {
    let assignment = [member.key.as_slice(), b"=", value].concat();
    if member.key.is_empty() || name_of(&assignment) != member.key || assignment.contains(&0) {
        let why = "env: a variable has a name without '=' and no NUL byte";
        return Err((member.at, why.to_owned()));
    }
    Ok(assignment)
}
