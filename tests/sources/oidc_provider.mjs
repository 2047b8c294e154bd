// A certified OpenID provider on a free port of loopback, with a person who may log in by any name.
// node oidc_provider.mjs PATH-OF-THE-PACKAGE; prints its issuer when it is ready, and ends with its standard input.

import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';

const { Provider, errors } = await import(pathToFileURL(`${process.argv[2]}/lib/index.js`));

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';

const server = createServer();
await new Promise(ready => server.listen(0, '127.0.0.1', ready));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'jupyter',
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      redirect_uris: ['http://127.0.0.1/callback'],
      grant_types: ['authorization_code', 'refresh_token', DEVICE, EXCHANGE]
    }
  ],
  claims: { openid: ['sub'], profile: ['preferred_username'] },
  conformIdTokenClaims: false,
  features: { deviceFlow: { enabled: true }, revocation: { enabled: true } },
  findAccount: (_, sub) => ({
    accountId: sub,
    claims: () => ({ sub, preferred_username: sub })
  })
});

// RFC 8693 is an extra grant of this server, for which it has no code of its own.
provider.registerGrantType(
  EXCHANGE,
  async context => {
    const { params, client } = context.oidc;
    const subject = await provider.AccessToken.find(params.subject_token);
    if (!subject || subject.clientId !== client.clientId) {
      throw new errors.InvalidGrant('the subject token is unknown');
    }
    const token = new provider.AccessToken({
      accountId: subject.accountId,
      client,
      grantId: subject.grantId,
      gty: 'token-exchange',
      scope: 'openid',
      extra: { audience: params.audience }
    });
    context.body = {
      access_token: await token.save(),
      issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      expires_in: token.expiration,
      token_type: 'Bearer'
    };
  },
  ['subject_token', 'subject_token_type', 'audience']
);

provider.on('server_error', (_, error) => console.error(error));
server.on('request', provider.callback());
console.log(issuer);
process.stdin.resume().on('end', () => process.exit());
