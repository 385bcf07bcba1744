// Takes e-mails with the npm package `smtp-server`.
// Arguments: `none`, or the PEM files of a certificate and its key for STARTTLS; then, if somebody has to log in, user
// and password. Standard output: its port, then a line of JSON for each mail:
// {"from": "…", "to": ["…"], "user": "…"|null, "encrypted": true|false, "text": "head and body"}.
import { readFileSync } from "node:fs";
import { SMTPServer } from "smtp-server";

const [certificate, key, user, password] = process.argv.slice(2);
const encrypts = certificate !== "none";

const server = new SMTPServer({
  authOptional: !user,
  disabledCommands: encrypts ? [] : ["STARTTLS"],
  allowInsecureAuth: !encrypts,
  ...(encrypts && { cert: readFileSync(certificate), key: readFileSync(key) }),
  onAuth: (auth, _session, done) =>
    auth.username === user && auth.password === password ? done(null, { user }) : done(new Error("wrong password")),
  onRcptTo: ({ address }, _session, done) =>
    address.startsWith("nobody@") ? done(new Error("no such mailbox")) : done(),
  onData: (stream, session, done) => {
    const parts = [];
    stream.on("data", (part) => parts.push(part));
    stream.on("end", () => {
      const { mailFrom, rcptTo } = session.envelope;
      const text = Buffer.concat(parts).toString("utf8");
      const mail = { from: mailFrom.address, to: rcptTo.map((to) => to.address), user: session.user ?? null, encrypted: session.secure, text };
      process.stdout.write(`${JSON.stringify(mail)}\n`);
      done();
    });
  },
});
server.on("error", () => {});
server.listen(0, "127.0.0.1", () => process.stdout.write(`${server.server.address().port}\n`));
