<?php

/**
 * Loads the SDK and the tests' own classes, without Composer.
 */

declare(strict_types=1);

require __DIR__ . '/../autoload.php';

spl_autoload_register(static function (string $class): void {
    $prefix = 'PhaseBased\\Plasm\\Tests\\';
    if (str_starts_with($class, $prefix)) {
        require __DIR__ . '/' . strtr(substr($class, strlen($prefix)), '\\', '/') . '.php';
    }
});

// What the person who runs the tests has set up is not what they are about.
foreach (['PLASM_BOOTSTRAP', 'PLASM_LIBRARY', 'PLASM_COMMAND', 'PLASM_DRIVER'] as $name) {
    putenv($name);
}
