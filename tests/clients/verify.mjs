// Verifies deliveries with the npm package `standardwebhooks`.
// Standard input: [{"secret": "whsec_…", "headers": {…}, "body": "…"}, …]; standard output: [true, false, …].
import { readFileSync } from "node:fs";
import { Webhook } from "standardwebhooks";

const accepted = ({ secret, headers, body }) => {
  try {
    new Webhook(secret).verify(body, headers);
    return true;
  } catch (error) {
    if (error.constructor.name !== "WebhookVerificationError") throw error;
    return false;
  }
};

const deliveries = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(deliveries.map(accepted)));
