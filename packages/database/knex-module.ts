import knexModule from 'knex';

/** knex is a CommonJS module whose named exports Node.js does not see. */
export const { knex: createKnex, KnexTimeoutError } = knexModule;
