<?php

/**
 * A page that runs hello.wasm and says how: what an application under FPM or php -S does.
 */

declare(strict_types=1);

use PhaseBased\Plasm\Client;
use PhaseBased\Plasm\Exception\PlasmException;

require __DIR__ . '/../../autoload.php';

$module = __DIR__ . '/../../../wasm-examples/hello/target/wasm32-wasip1/release/hello.wasm';
try {
    $client = new Client(['state_dir' => '']);
    $job = $client->submit((string) file_get_contents($module));
    $result = $job->wait();
    $answer = [
        'driver' => $client->driverName(),
        'output' => $result->output,
        'receipt' => $result->receipt->verify($job->node) ? 'verified' : 'refused',
    ];
} catch (PlasmException $exception) {
    $answer = ['error' => $exception::class, 'message' => $exception->getMessage()];
}
header('Content-Type: application/json');
echo json_encode(['sapi' => PHP_SAPI] + $answer);
