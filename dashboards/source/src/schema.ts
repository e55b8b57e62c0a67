// A JSON schema made from the types in document.ts.
import { Ajv } from 'ajv';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createGenerator } from 'ts-json-schema-generator';
import type { Document } from './document.js';

/** Says what in a parsed file is not as Grafana's types have it; nothing if all is. */
export function schemaErrors(): (file: unknown) => string[] {
  const sources = fileURLToPath(new URL('..', import.meta.url));
  const schema = createGenerator({
    path: join(sources, 'src', 'document.ts'),
    tsconfig: join(sources, 'tsconfig.json'),
    type: 'Document',
    // tsc has checked the types already.
    skipTypeCheck: true,
    additionalProperties: false,
    // Types of the same name in several of the SDK's modules must not meet.
    expose: 'none',
  }).createSchema('Document');
  const validate = new Ajv({ allErrors: true, allowUnionTypes: true }).compile<Document>(schema);
  return (file) =>
    validate(file) ? [] : (validate.errors ?? []).map((e) => `${e.instancePath} ${e.message} ${JSON.stringify(e.params)}`);
}
