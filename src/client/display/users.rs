//! Names of users.

use crate::sys::user;

/// Names of users, each looked up once.
#[derive(Default)]
pub struct Users(Vec<(u32, String)>);

impl Users {
    /// The name of a user, or the number where there is none.
    pub fn name(&mut self, uid: u32) -> &str {
        let known = self.0.iter().position(|(known, _)| *known == uid);
        let at = known.unwrap_or_else(|| {
            let name = user::user_name(uid).unwrap_or_else(|| uid.to_string());
            self.0.push((uid, name));
            self.0.len() - 1
        });
        self.0.get(at).map_or("", |(_, name)| name)
    }
}
