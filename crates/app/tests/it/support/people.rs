//! People who sign in.

use serde_json::{Value, json};

use super::{Answer, Api, Stage};

/// Long enough.
pub const PASSWORD: &str = "correct horse battery";

impl Stage {
    /// Makes somebody with these privileges, as the API answers.
    pub async fn somebody(&self, email: &str, privileges: Value) -> Value {
        let wish = json!({"email": email, "name": "Somebody", "privileges": privileges});
        self.api.post("/v1/users", &wish).await.expect(201)
    }

    /// Makes somebody with these privileges who sets [`PASSWORD`]; gives their id and a client with their session.
    pub async fn person(&self, email: &str, privileges: Value) -> (String, Api) {
        let made = self.somebody(email, privileges).await;
        let answer = self.follow(made["link"]["token"].as_str().expect("a token"), PASSWORD).await;
        (made["id"].as_str().expect("an id").to_owned(), self.api.with_session(&answer))
    }

    /// Sets a password with the token of a link.
    pub async fn follow(&self, token: &str, password: &str) -> Answer {
        let body = json!({"token": token, "password": password});
        self.api.without_key().post("/v1/sessions/links", &body).await
    }

    /// Signs in.
    pub async fn sign_in(&self, email: &str, password: &str) -> Answer {
        let body = json!({"email": email, "password": password});
        self.api.without_key().post("/v1/sessions", &body).await
    }
}

impl Api {
    /// The same client with the session that an answer set.
    #[track_caller]
    pub fn with_session(&self, answer: &Answer) -> Self {
        assert_eq!(answer.status, 201, "{}", answer.text());
        let cookie = answer.headers["set-cookie"].to_str().expect("text").split(';').next().expect("its value");
        Self { key: None, session: Some(cookie.to_owned()), ..self.clone() }
    }

    /// The cookie that this client sends.
    pub fn cookie(&self) -> &str {
        self.session.as_deref().expect("a session")
    }
}
