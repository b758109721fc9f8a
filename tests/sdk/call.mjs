// Calls one action through one of the vendor's Node SDKs and prints the outcome as one JSON line.
//
//     node call.mjs SDK ACTION PARAMETERS_JSON
//
// SDK is one of openapi-client, openapi-client-v1, openapi-core, pop-core-get, pop-core-post. Environment and output
// are those of call.py.

import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const [sdk, action, parametersJson] = process.argv.slice(2);
const parameters = JSON.parse(parametersJson);
const endpoint = new URL(process.env.HANSARD_ENDPOINT);
const accessKeyId = process.env.ALIBABA_CLOUD_ACCESS_KEY_ID;
const accessKeySecret = process.env.ALIBABA_CLOUD_ACCESS_KEY_SECRET;
const securityToken = process.env.ALIBABA_CLOUD_SECURITY_TOKEN;
const version = '2022-02-20';

const params = {
  action, version, protocol: 'HTTP', pathname: '/', method: 'POST', authType: 'AK', style: 'RPC',
  reqBodyType: 'formData', bodyType: 'json',
};

async function openapiClient(signatureAlgorithm) {
  const { default: Client, Config, OpenApiRequest, Params } = require('@alicloud/openapi-client');
  const { RuntimeOptions } = require('@alicloud/tea-util');
  const config = new Config({ accessKeyId, accessKeySecret, securityToken, endpoint: endpoint.host, protocol: 'HTTP', signatureAlgorithm });
  const client = new Client(config);
  const reply = await client.callApi(new Params(params), new OpenApiRequest({ body: parameters }), new RuntimeOptions({}));
  return reply.body;
}

async function openapiCore() {
  const { default: Client, $OpenApiUtil } = require('@alicloud/openapi-core');
  const { RuntimeOptions } = require('@darabonba/typescript');
  const config = new $OpenApiUtil.Config({ accessKeyId, accessKeySecret, securityToken, endpoint: endpoint.host, protocol: 'HTTP' });
  const client = new Client(config);
  const request = new $OpenApiUtil.OpenApiRequest({ body: parameters });
  const reply = await client.callApi(new $OpenApiUtil.Params(params), request, new RuntimeOptions({}));
  return reply.body;
}

async function popCore(method) {
  const { RPCClient } = require('@alicloud/pop-core');
  const client = new RPCClient({ accessKeyId, accessKeySecret, securityToken, endpoint: endpoint.origin, apiVersion: version });
  return client.request(action, parameters, { method, formatParams: false });
}

const ways = {
  'openapi-client': () => openapiClient(undefined),
  'openapi-client-v1': () => openapiClient('v2'),
  'openapi-core': () => openapiCore(),
  'pop-core-get': () => popCore('GET'),
  'pop-core-post': () => popCore('POST'),
};

try {
  console.log(JSON.stringify({ reply: await ways[sdk]() }));
} catch (error) {
  if (!error.code) throw error;
  const data = error.data ?? {};
  console.log(JSON.stringify({
    error: {
      code: error.code,
      status: error.statusCode ?? data.statusCode,
      message: error.message,
      request_id: error.requestId ?? data.RequestId,
      detail: error.accessDeniedDetail ?? data.AccessDeniedDetail,
      class: error.name,
      retry_after: error.retryAfter,
    },
  }));
}
