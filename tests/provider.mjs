// A real OpenID provider (oidc-provider, certified) for tests: its people and their groups stand in a JSON file that is
// read at each sign-in. node tests/provider.mjs PORT REDIRECT_URI PEOPLE
import { readFileSync } from "node:fs";
import { Provider } from "oidc-provider";

const [port, redirectUri, people] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "oakmill",
      client_secret: "a secret of / these tests",
      redirect_uris: [redirectUri],
      post_logout_redirect_uris: [new URL("/session", redirectUri).href],
      token_endpoint_auth_method: "client_secret_basic",
    },
  ],
  pkce: { required: () => true },
  claims: { openid: ["sub", "groups"], email: ["email", "email_verified"], profile: ["name"] },
  conformIdTokenClaims: process.env.CLAIMS_APART === "yes",
  findAccount: (_, sub) => {
    const person = JSON.parse(readFileSync(people, "utf-8"))[sub];
    return person && { accountId: sub, claims: () => ({ sub, email_verified: true, ...person }) };
  },
});
provider.listen(Number(port), "127.0.0.1", () => console.log(`listens on ${issuer}`));
