// Of Node's modules the edge uses this one alone (workerd has it under nodejs_compat). All of @types/node would bring globals that a
// Worker does not have, and another setTimeout.
/// <reference path="../node_modules/@types/node/crypto.d.ts" />
