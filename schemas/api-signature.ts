import { otherVersionStatus, protocolVersion, versionHeader } from "../cluster/protocol-version.ts";

/** How a request is signed, for who writes a client of the API: a part of docs/api.md. What a cell checks is in workers/signature.ts. */

/** What goes into the example. Tests of the cells sign it again as the text says. */
const secret = "not-a-secret-of-yours";
const body = '{"draining":true}';
const bodyHash = "78dc234f96dc096b804159ca1b73570ae00efe5a415476fe247d5c6bace27e56";
const signature = "f93b7d30c25bfb5777b048b2f63f9294b3a98399276bf7c3a9acc074f9ff2799";

export const signingText = `## How a request is signed

Every request to \`/api\` is signed with the cluster's secret. \`tandem up\` keeps it in the file \`secret\` of the state directory. A signature is good for one
request to one cell, for 30 s by the cell's clock.

1. Ask the cell who it is: \`GET /\` needs no signature. The header \`tandem-cell\` of the answer is its id.
2. Hash the body: SHA-256 over the octets that are sent, as 64 small hex digits. Without a body, or with an empty one, it is \`-\`.
3. Draw a nonce: 12 characters of \`A-Z a-z 0-9 _ -\`, new ones for each request.
4. Write nine lines, with a line feed between two of them and none at the end. The first three are \`Tandem2\`, \`api\` and who asks, \`cli\`. Then come
   the cell's id, the time in ms since 1970, and the nonce. The last three are the method, the path with its query as it is sent, and the hash of the body.
5. Sign them: HMAC-SHA256 over the octets of these lines, as 64 small hex digits. The key is the secret as it stands in its file, without a line feed.
6. Send the request with two headers: \`authorization: Tandem2 cli CELL TIME NONCE BODYHASH SIGNATURE\`, one space between two parts, and
   \`${versionHeader}: ${protocolVersion}\`. A cell that speaks another version of the protocol answers ${otherVersionStatus}, and names its own in that header.
   Who says none is answered by the version that the cell has.

An example. The secret is \`${secret}\`, and the body \`${body}\`. This is signed:

\`\`\`text
Tandem2
api
cli
a
1790000000000
k3J9_x-Qw2Lm
PUT
/api/cells/b
${bodyHash}
\`\`\`

This is sent:

\`\`\`http
PUT /api/cells/b HTTP/1.1
content-type: application/json
${versionHeader}: ${protocolVersion}
authorization: Tandem2 cli a 1790000000000 k3J9_x-Qw2Lm ${bodyHash} ${signature}

${body}
\`\`\`
`;
