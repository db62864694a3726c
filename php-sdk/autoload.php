<?php

/**
 * Loads the SDK's classes without Composer: `require 'php-sdk/autoload.php'`.
 */

declare(strict_types=1);

spl_autoload_register(static function (string $class): void {
    $prefix = 'PhaseBased\\Plasm\\';
    if (!str_starts_with($class, $prefix)) {
        return;
    }
    $file = __DIR__ . '/src/' . strtr(substr($class, strlen($prefix)), '\\', '/') . '.php';
    if (is_file($file)) {
        require $file;
    }
});
