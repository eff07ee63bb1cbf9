//! What is printed when the gateway is ready: a line for programs, or lines for people.

use std::net::SocketAddr;

use serde_json::json;
use tollring_engine::Engine;

use crate::cli::say;
use crate::demo::Keys;

/// A gateway that is ready.
pub(crate) struct Ready<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) admin: SocketAddr,
    /// The admin token, where this process made it up and nobody else knows it.
    pub(crate) made_token: Option<&'a str>,
    /// The admin token, whoever chose it; only said to programs that asked for it.
    pub(crate) token: &'a str,
    pub(crate) demo: Option<&'a Keys>,
}

impl Ready<'_> {
    fn gateway(&self) -> SocketAddr {
        self.engine.addresses()[0]
    }

    fn scheme(&self) -> &'static str {
        match self.engine.live().config.server.tls {
            Some(_) => "https",
            None => "http",
        }
    }

    fn admin_scheme(&self) -> &'static str {
        match self.engine.live().config.admin.tls {
            Some(_) => "https",
            None => "http",
        }
    }

    /// One line of JSON.
    pub(crate) fn say_to_programs(&self) {
        let (gateway, admin) = (self.gateway(), self.admin);
        let mut line = json!({
            "gateway": format!("{}://{gateway}", self.scheme()),
            "admin": format!("{}://{admin}", self.admin_scheme()),
            "admin_token": self.token,
        });
        if let Some(keys) = self.demo {
            line["keys"] = json!(keys);
        }
        say(&line.to_string());
    }

    /// What systemd shows beside the unit.
    pub(crate) fn status(&self) -> String {
        let (workers, io) = (self.engine.cores().len(), self.engine.io().kind.word());
        let gateway = self.gateway();
        format!(
            "serving on {gateway}, {workers} workers, {io}; admin on {}",
            self.admin
        )
    }

    /// Where things are, and for the demo three commands to paste.
    pub(crate) fn say_to_people(&self) {
        let workers = self.engine.cores().len();
        let plural = if workers == 1 { "" } else { "s" };
        let io = self.engine.io().kind.word();
        let scheme = self.scheme();
        for address in self.engine.addresses() {
            say(&format!(
                "  gateway   {scheme}://{address}     {workers} worker{plural}, {io}"
            ));
        }
        say(&format!(
            "  admin     {}://{}",
            self.admin_scheme(),
            self.admin
        ));
        if let Some(token) = self.made_token {
            say(&format!(
                "  token     {token}     (for the admin port, until this process ends)"
            ));
        }
        if let Some(keys) = self.demo {
            self.say_commands(keys);
        }
    }

    fn say_commands(&self, keys: &Keys) {
        let gateway = self.gateway();
        let ask = r#"{"model":"demo","messages":[{"role":"user","content":"Hello"}]}"#;
        let stream = ask.replacen('{', r#"{"stream":true,"#, 1);
        let (acme, broke) = (&keys.acme, &keys.broke);
        let url = format!("http://{gateway}/v1/chat/completions");
        say(&format!(
            "\nTry it. An answer, the same as a stream, and a 402 for a tenant without money:\n\n\
             curl -s {url} -H 'authorization: Bearer {acme}' -d '{ask}'\n\n\
             curl -sN {url} -H 'authorization: Bearer {acme}' -d '{stream}'\n\n\
             curl -si {url} -H 'authorization: Bearer {broke}' -d '{ask}'\n"
        ));
    }
}
